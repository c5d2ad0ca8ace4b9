package rest

import (
	"context"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
)

// ListProtectedReaders shows the named few (D21).
func (s *Server) ListProtectedReaders(ctx context.Context, _ ListProtectedReadersRequestObject) (ListProtectedReadersResponseObject, error) {
	var readers []client.Reader
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		readers, err = client.Readers(ctx, tx)
		return err
	})
	return ListProtectedReaders200JSONResponse{Readers: list(readers, func(r client.Reader) ProtectedReader {
		shown := ProtectedReader{Id: r.ID, Account: r.AccountID, Name: r.Name, LastDay: setDate(r.LastDay), Named: stamp(r.GrantedAt, r.GrantedByName)}
		if r.ConfirmedAt != nil {
			shown.Confirmed = set(stamp(*r.ConfirmedAt, r.ConfirmedName))
		}
		return shown
	})}, err
}

// NameProtectedReader names one of the few.
func (s *Server) NameProtectedReader(ctx context.Context, r NameProtectedReaderRequestObject) (NameProtectedReaderResponseObject, error) {
	var named NamedProtectedReader
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		named.Id, err = client.NameReader(ctx, tx, r.Body.Account, day(r.Body.LastDay))
		return err
	})
	return NameProtectedReader201JSONResponse(named), err
}

// ConfirmProtectedReader lets a naming hold.
func (s *Server) ConfirmProtectedReader(ctx context.Context, r ConfirmProtectedReaderRequestObject) (ConfirmProtectedReaderResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return client.ConfirmReader(ctx, tx, r.Reader) })
	return ConfirmProtectedReader204Response{}, err
}

// RevokeProtectedReader ends it.
func (s *Server) RevokeProtectedReader(ctx context.Context, r RevokeProtectedReaderRequestObject) (RevokeProtectedReaderResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return client.RevokeReader(ctx, tx, r.Reader) })
	return RevokeProtectedReader204Response{}, err
}

// AskUnshield asks for the mark of a client to be taken away.
func (s *Server) AskUnshield(ctx context.Context, r AskUnshieldRequestObject) (AskUnshieldResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return client.AskUnshield(ctx, tx, r.Client) })
	return AskUnshield204Response{}, err
}

// DecideUnshield takes it away, or keeps it.
func (s *Server) DecideUnshield(ctx context.Context, r DecideUnshieldRequestObject) (DecideUnshieldResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return client.DecideUnshield(ctx, tx, r.Client, r.Body.Remove) })
	return DecideUnshield204Response{}, err
}
