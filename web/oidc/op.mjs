// A certified OpenID Connect provider (npm oidc-provider) in the shape of
// ID-porten, for tests and the demo: pushed requests, PKCE and
// private_key_jwt are demanded; the id_token holds pid, acr and auth_time.
// Its people are invented. It listens on a port of this machine that the
// system chooses, says on the first line of its output where, and ends with
// its input, so that it never outlives whoever started it.
//
// FRIST_OP holds {"client_id", "redirect", "jwk", "people": [{"pid", "name"}]}.
import { createServer } from 'node:http'
import { randomBytes } from 'node:crypto'
import { Provider } from 'oidc-provider'

const { client_id, redirect, jwk, people } = JSON.parse(process.env.FRIST_OP)
const levels = ['idporten-loa-substantial', 'idporten-loa-high']

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients: [{
      client_id, redirect_uris: [redirect], response_types: ['code'], grant_types: ['authorization_code'], require_auth_time: true,
      token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'RS256', jwks: { keys: [jwk] },
    }],
    claims: { openid: ['sub', 'pid'], acr: null, amr: null, auth_time: null },
    acrValues: levels,
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false }, pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true } },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (ctx, pid) => ({ accountId: pid, claims: () => ({ sub: `sub-${pid}`, pid }) }),
    // Nobody is asked whether Frist may know them: signing in is all there is.
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId })
      grant.addOIDCScope('openid')
      await grant.save()
      return grant
    },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    ttl: { AuthorizationCode: 60, IdToken: 120, Interaction: 600, Session: 3600, Grant: 3600 },
  })
  provider.on('server_error', (ctx, err) => console.error(err))
  const serve = provider.callback()
  server.on('request', (req, res) => {
    if (!req.url.startsWith('/interaction/')) return serve(req, res)
    interact(provider, req, res).catch((err) => {
      res.statusCode = 400
      res.end(String(err.message))
    })
  })
  console.log(JSON.stringify({ issuer }))
})

async function interact(provider, req, res) {
  const { params } = await provider.interactionDetails(req, res)
  if (req.method === 'POST') {
    let body = ''
    for await (const chunk of req) body += chunk
    const form = new URLSearchParams(body)
    if (form.get('cancel')) return provider.interactionFinished(req, res, { error: 'access_denied' }, { mergeWithLastSubmission: false })
    const person = people.find((p) => p.pid === form.get('pid'))
    if (!person || !levels.includes(form.get('acr'))) throw new Error('no such person or level')
    return provider.interactionFinished(req, res, { login: { accountId: person.pid, acr: form.get('acr'), amr: ['demo'], remember: false } }, { mergeWithLastSubmission: false })
  }
  const wanted = params.acr_values || levels[0]
  const escape = (s) => s.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
  res.setHeader('Content-Type', 'text/html; charset=utf-8')
  res.setHeader('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'")
  res.end(`<!doctype html><html lang="nb"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Demo av ID-porten</title>
<style>body{font:18px/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem}label,button{display:block;margin:.5rem 0}select,button{font:inherit;padding:.5rem .75rem;max-width:100%}</style>
<h1>Demo av ID-porten</h1><p>Alle personene her er oppdiktet. Velg en, og hvor sikkert ID-porten skal kjenne dem.</p>
<form method="post"><label>Person <select name="pid">${people.map((p) => `<option value="${escape(p.pid)}">${escape(p.name)}</option>`).join('')}</select></label>
<label>Nivå <select name="acr">${levels.map((l) => `<option${l === wanted ? ' selected' : ''}>${l}</option>`).join('')}</select></label>
<button>Logg inn</button><button name="cancel" value="1">Avbryt</button></form></html>`)
}

process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
