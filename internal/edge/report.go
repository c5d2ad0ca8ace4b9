package edge

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/frist-app/frist/internal/problem"
)

// reportPath is where browsers tell that the content security policy has kept something from a page.
const (
	reportPath  = "/csp-rapport"
	reportLimit = 16 << 10
)

// directives are those that may stand in the log; a report is a stranger's text like any other.
var directives = []string{
	"default-src", "script-src", "script-src-elem", "script-src-attr", "style-src", "style-src-elem", "style-src-attr", "img-src", "font-src", "connect-src", "media-src", "frame-src",
	"worker-src", "object-src", "manifest-src", "form-action", "base-uri", "frame-ancestors", "require-trusted-types-for", "trusted-types",
}

// sources are the kinds of what was kept out, as browsers name those that have no address.
var sources = []string{"inline", "eval", "wasm-eval", "data", "blob", "trusted-types-policy", "trusted-types-sink"}

// cspReport counts what a browser tells, and logs the directive and the kind of the source: a page's address holds ids, and
// a blocked one whatever an extension or an attacker put there.
func (s *Site) cspReport(w http.ResponseWriter, r *http.Request) error {
	if err := s.often(r.Context(), reports, "everybody"); err != nil {
		return err
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return formError(err)
	}
	var old struct {
		Report struct {
			Directive string `json:"effective-directive"`
			Violated  string `json:"violated-directive"`
			Blocked   string `json:"blocked-uri"`
		} `json:"csp-report"`
	}
	var list []struct {
		Type string `json:"type"`
		Body struct {
			Directive string `json:"effectiveDirective"`
			Blocked   string `json:"blockedURL"`
		} `json:"body"`
	}
	switch {
	case json.Unmarshal(raw, &list) == nil && len(list) > 0:
		for _, one := range list[:min(len(list), 5)] {
			if one.Type == "csp-violation" {
				s.reported(r, one.Body.Directive, one.Body.Blocked)
			}
		}
	case json.Unmarshal(raw, &old) == nil && old.Report.Directive+old.Report.Violated != "":
		directive := old.Report.Directive
		if directive == "" {
			directive, _, _ = strings.Cut(old.Report.Violated, " ")
		}
		s.reported(r, directive, old.Report.Blocked)
	default:
		return problem.InvalidField("form", "unreadable", nil)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Site) reported(r *http.Request, directive, blocked string) {
	if !slices.Contains(directives, directive) {
		directive = "other"
	}
	kind := "other"
	if u, err := url.Parse(blocked); slices.Contains(sources, blocked) {
		kind = blocked
	} else if err == nil && u.Host != "" {
		kind = "elsewhere"
		if u.Host == r.Host {
			kind = "self"
		}
	} else if err == nil && slices.Contains(sources, u.Scheme) {
		kind = u.Scheme
	}
	s.Metrics.reports.WithLabelValues(directive, kind).Inc()
	s.Log.LogAttrs(r.Context(), slog.LevelWarn, "a browser kept something from a page", slog.String("directive", directive), slog.String("source", kind), slog.String("request", stateOf(r).id))
}

// SameOrigin lets h answer only what a page of this site asks for, or a person who opens the address: recordings play
// nowhere else (ASVS 3.5.8). A browser too old to tell is held off by the policy that headers sets.
func SameOrigin(h Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
			return crossSite{}
		}
		return h(w, r)
	}
}
