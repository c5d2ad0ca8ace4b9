package rest

import (
	"context"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
)

// ListHolds shows the holds on a client and its address.
func (s *Server) ListHolds(ctx context.Context, r ListHoldsRequestObject) (ListHoldsResponseObject, error) {
	var holds []retention.Hold
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		if _, err = client.FindTab(ctx, tx, r.Client, "holds"); err != nil {
			return err
		}
		holds, err = retention.Holds(ctx, tx, r.Client)
		return err
	})
	return ListHolds200JSONResponse{Holds: list(holds, showHold)}, err
}

func showHold(h retention.Hold) Hold {
	on := HoldLiesOnClient
	if h.AddressID != nil {
		on = HoldLiesOnAddress
	}
	return Hold{
		Id: h.ID, LiesOn: on, Reason: set(HoldReason(h.Reason)), Authority: set(h.Authority), ReviewOn: date(h.ReviewOn), Confidential: h.Confidential,
		PlacedAt: h.PlacedAt, ReleaseAskedAt: h.ReleaseAskedAt, ReleaseReason: h.ReleaseReason, ReleasedAt: h.ReleasedAt,
	}
}

// PlaceHold places a hold on a client.
func (s *Server) PlaceHold(ctx context.Context, r PlaceHoldRequestObject) (PlaceHoldResponseObject, error) {
	id, err := s.hold(ctx, r.Body, &r.Client, nil)
	return PlaceHold201JSONResponse{Id: id}, err
}

// PlaceAddressHold places a hold on everybody at an address.
func (s *Server) PlaceAddressHold(ctx context.Context, r PlaceAddressHoldRequestObject) (PlaceAddressHoldResponseObject, error) {
	id, err := s.hold(ctx, r.Body, nil, &r.Address)
	return PlaceAddressHold201JSONResponse{Id: id}, err
}

func (s *Server) hold(ctx context.Context, b *NewHold, on, at *uuid.UUID) (id uuid.UUID, err error) {
	err = s.in(ctx, func(tx *pg.Tx) (err error) {
		id, err = deletion.PlaceHold(ctx, tx, retention.NewHold{
			ClientID: on, AddressID: at, Reason: string(b.Reason), Authority: b.Authority, ReviewOn: day(&b.ReviewOn), Confidential: or(b.Confidential, false),
		})
		return err
	})
	return id, err
}

// AskHoldRelease asks for a release.
func (s *Server) AskHoldRelease(ctx context.Context, r AskHoldReleaseRequestObject) (AskHoldReleaseResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return retention.AskRelease(ctx, tx, r.Hold, r.Body.Reason) })
	return AskHoldRelease204Response{}, err
}

// ReleaseHold confirms a release that somebody else asked for.
func (s *Server) ReleaseHold(ctx context.Context, r ReleaseHoldRequestObject) (ReleaseHoldResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return deletion.ReleaseHold(ctx, tx, r.Hold) })
	return ReleaseHold204Response{}, err
}
