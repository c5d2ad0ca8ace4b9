package rest

import (
	"context"

	"github.com/frist-app/frist/internal/account"
)

// ListSessions shows where the caller is signed in.
func (s *Server) ListSessions(ctx context.Context, _ ListSessionsRequestObject) (ListSessionsResponseObject, error) {
	found, err := account.Sessions(ctx, s.DB, callerOf(ctx))
	return ListSessions200JSONResponse{Sessions: list(found, func(one account.Session) Session {
		return Session{
			Id: one.ID, Since: one.CreatedAt, LastSeenAt: one.SeenAt, Method: SessionMethod(one.Method), Provider: set(one.Provider), Level: set(one.Level), Factor: set(one.Factor), Device: set(one.Device),
		}
	})}, err
}

// EndSessions signs the caller out everywhere.
func (s *Server) EndSessions(ctx context.Context, _ EndSessionsRequestObject) (EndSessionsResponseObject, error) {
	ended, err := account.EndOtherSessions(ctx, s.DB, callerOf(ctx)) // a key has none of its own
	return EndSessions200JSONResponse{Ended: ended}, err
}

// EndSession signs the caller out in one place.
func (s *Server) EndSession(ctx context.Context, r EndSessionRequestObject) (EndSessionResponseObject, error) {
	return EndSession204Response{}, account.EndSession(ctx, s.DB, callerOf(ctx), r.Session)
}
