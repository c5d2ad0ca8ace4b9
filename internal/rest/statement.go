package rest

import (
	"context"
	"encoding/json"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
)

// ReadPrivacyStatement shows the draft and what was published.
func (s *Server) ReadPrivacyStatement(ctx context.Context, _ ReadPrivacyStatementRequestObject) (ReadPrivacyStatementResponseObject, error) {
	var draft privacy.StatementDraft
	var published []privacy.Published
	var staff map[int64]account.StaffMember
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		if draft, err = privacy.DraftOf(ctx, tx); err != nil {
			return err
		}
		if published, err = privacy.Statements(ctx, tx); err != nil {
			return err
		}
		staff, err = account.Staff(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	shown := PrivacyStatement{Draft: StatementDraft{Controller: draft.Controller, Officer: draft.Officer}, Published: make([]PublishedStatement, len(published))}
	if shown.Draft.Sections, err = showTexts(draft.Sections); err != nil {
		return nil, err
	}
	for i, p := range published {
		texts, err := showTexts(p.Sections)
		if err != nil {
			return nil, err
		}
		shown.Published[i] = PublishedStatement{
			Version: p.Version, Controller: p.Controller, Officer: p.Officer, Sections: texts, ValidFrom: date(p.ValidFrom), By: set(staff[p.PublishedBy].Name), PublishedAt: p.PublishedAt,
		}
	}
	return ReadPrivacyStatement200JSONResponse(shown), nil
}

// showTexts gives the texts in the contract's form, which names each language and section.
func showTexts(t privacy.Texts) (shown StatementTexts, err error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return shown, err
	}
	return shown, json.Unmarshal(raw, &shown)
}

// SavePrivacyStatement keeps the draft.
func (s *Server) SavePrivacyStatement(ctx context.Context, r SavePrivacyStatementRequestObject) (SavePrivacyStatementResponseObject, error) {
	raw, err := json.Marshal(r.Body.Sections)
	if err != nil {
		return nil, err
	}
	draft := privacy.StatementDraft{Controller: r.Body.Controller, Officer: r.Body.Officer}
	if err := json.Unmarshal(raw, &draft.Sections); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, lang := range privacy.Languages {
		for _, section := range privacy.Sections {
			names[lang+"."+section] = "sections." + lang + "." + section
		}
	}
	err = s.in(ctx, func(tx *pg.Tx) error { return privacy.SaveDraft(ctx, tx, draft) })
	return SavePrivacyStatement204Response{}, called(err, names)
}

// PublishPrivacyStatement makes the draft the next version.
func (s *Server) PublishPrivacyStatement(ctx context.Context, r PublishPrivacyStatementRequestObject) (PublishPrivacyStatementResponseObject, error) {
	var shown PublishedVersion
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		shown.Version, err = privacy.Publish(ctx, tx, day(&r.Body.ValidFrom))
		return err
	})
	return PublishPrivacyStatement201JSONResponse(shown), called(err, map[string]string{"in_force": "valid_from"})
}
