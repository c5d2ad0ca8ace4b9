package rest

import (
	"context"
	"net/netip"

	"github.com/frist-app/frist/internal/account"
)

// Keys are answered for oneself and for a program by the same functions; which of them may is the domain's to say.

func (s *Server) keys(ctx context.Context, of int64) (Keys, error) {
	found, err := account.Keys(ctx, s.DB, callerOf(ctx), of)
	return Keys{Keys: list(found, func(k account.Key) Key {
		return Key{
			Id: k.ID, Name: k.Name, Scopes: k.Scopes, Networks: list(k.Networks, netip.Prefix.String), CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, Ended: k.Ended(s.DB.Now()),
			LastUsedAt: k.LastUsedAt, RotatedFrom: k.RotatedFrom, RefusedAt: k.RefusedAt, Refusals: k.Refusals,
		}
	})}, err
}

// makeKey gives the key, once: an answer with it is kept nowhere, so no Idempotency-Key is taken for it.
func (s *Server) makeKey(ctx context.Context, of int64, b *NewKey) (MadeKey, error) {
	key, err := account.MakeKey(ctx, s.DB, callerOf(ctx), of, account.KeyWish{Name: b.Name, Scopes: or(b.Scopes, nil), Networks: or(b.Networks, nil), Days: b.Days})
	return MadeKey{Key: key}, called(err, map[string]string{"key_name": "name"})
}

// ListKeys shows the caller's own.
func (s *Server) ListKeys(ctx context.Context, _ ListKeysRequestObject) (ListKeysResponseObject, error) {
	shown, err := s.keys(ctx, callerOf(ctx).Account)
	return ListKeys200JSONResponse(shown), err
}

// MakeKey makes one for the caller.
func (s *Server) MakeKey(ctx context.Context, r MakeKeyRequestObject) (MakeKeyResponseObject, error) {
	made, err := s.makeKey(ctx, callerOf(ctx).Account, r.Body)
	return MakeKey201JSONResponse(made), err
}

// RotateKey makes one in the place of the caller's.
func (s *Server) RotateKey(ctx context.Context, r RotateKeyRequestObject) (RotateKeyResponseObject, error) {
	key, err := account.RotateKey(ctx, s.DB, callerOf(ctx), callerOf(ctx).Account, r.Key, r.Body.Overlap)
	return RotateKey201JSONResponse{Key: key}, err
}

// EndKey ends one of the caller's.
func (s *Server) EndKey(ctx context.Context, r EndKeyRequestObject) (EndKeyResponseObject, error) {
	return EndKey204Response{}, account.EndKey(ctx, s.DB, callerOf(ctx), callerOf(ctx).Account, r.Key)
}

// ListProgramKeys shows a program's.
func (s *Server) ListProgramKeys(ctx context.Context, r ListProgramKeysRequestObject) (ListProgramKeysResponseObject, error) {
	shown, err := s.keys(ctx, r.Account)
	return ListProgramKeys200JSONResponse(shown), err
}

// MakeProgramKey makes one for a program.
func (s *Server) MakeProgramKey(ctx context.Context, r MakeProgramKeyRequestObject) (MakeProgramKeyResponseObject, error) {
	made, err := s.makeKey(ctx, r.Account, r.Body)
	return MakeProgramKey201JSONResponse(made), err
}

// RotateProgramKey makes one in the place of a program's.
func (s *Server) RotateProgramKey(ctx context.Context, r RotateProgramKeyRequestObject) (RotateProgramKeyResponseObject, error) {
	key, err := account.RotateKey(ctx, s.DB, callerOf(ctx), r.Account, r.Key, r.Body.Overlap)
	return RotateProgramKey201JSONResponse{Key: key}, err
}

// EndProgramKey ends one of a program's.
func (s *Server) EndProgramKey(ctx context.Context, r EndProgramKeyRequestObject) (EndProgramKeyResponseObject, error) {
	return EndProgramKey204Response{}, account.EndKey(ctx, s.DB, callerOf(ctx), r.Account, r.Key)
}
