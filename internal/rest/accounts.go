package rest

import (
	"cmp"
	"context"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
)

// manages refuses whoever looks after no accounts.
func (s *Server) manages(ctx context.Context) error {
	if callerOf(ctx).Can(access.PlatformManage) {
		return nil
	}
	return s.may(ctx, access.AccountManage)
}

// ListAccounts shows the organisation's people and programs. An approver, who sees some of them in the review, has no list.
func (s *Server) ListAccounts(ctx context.Context, r ListAccountsRequestObject) (ListAccountsResponseObject, error) {
	if err := s.manages(ctx); err != nil {
		return nil, err
	}
	people, err := account.People(ctx, s.DB, callerOf(ctx), or(r.Params.After, 0))
	if err != nil {
		return nil, err
	}
	shown := Accounts{Accounts: list(people, showAccount)}
	if len(people) == account.PageSize {
		shown.Next = &people[len(people)-1].ID
	}
	return ListAccounts200JSONResponse(shown), nil
}

func showAccount(p account.Person) Account {
	return Account{
		Id: p.ID, Name: p.Name, Login: p.Login, StaffNumber: p.StaffNumber, Roles: roles(p.Roles), State: AccountState(p.State()),
		CreatedAt: p.CreatedAt, LastUsedAt: p.LastSignInAt, ReviewedAt: p.ReviewedAt,
	}
}

func roles(of []access.Role) []Role { return list(of, func(r access.Role) Role { return Role(r) }) }

func asRoles(of []Role) []access.Role {
	return list(of, func(r Role) access.Role { return access.Role(r) })
}

// ReadAccount shows one.
func (s *Server) ReadAccount(ctx context.Context, r ReadAccountRequestObject) (ReadAccountResponseObject, error) {
	p, err := account.Find(ctx, s.DB, callerOf(ctx), r.Account)
	return ReadAccount200JSONResponse(showAccount(p)), err
}

// InviteAccount makes an account, shut until a second person has confirmed it. Its link is in this answer only, which is why
// no Idempotency-Key is taken, under which an answer would be kept: the login is taken when the request comes again.
func (s *Server) InviteAccount(ctx context.Context, r InviteAccountRequestObject) (InviteAccountResponseObject, error) {
	b := r.Body
	id, link, err := account.Invite(ctx, s.DB, callerOf(ctx), account.New{
		Name: b.Name, Login: b.Login, Email: or(b.Email, ""), Machine: or(b.Machine, false), Roles: asRoles(b.Roles), Language: cmp.Or(string(or(b.Language, "")), callerOf(ctx).Language),
	})
	if err != nil || link.Token == "" {
		return InviteAccount201JSONResponse{Id: id}, err
	}
	handed, err := s.handOver(ctx, link, id)
	return InviteAccount201JSONResponse{Id: id, Link: &handed}, err
}

func (s *Server) handOver(ctx context.Context, link account.Link, person int64) (AccountLink, error) {
	address, mailed, err := s.Site.HandOver(ctx, link, person, "")
	return AccountLink{Purpose: AccountLinkPurpose(link.Purpose), Address: address, WorksUntil: link.Until, Mailed: mailed}, err
}

// MakeAccountLink makes a link that works once.
func (s *Server) MakeAccountLink(ctx context.Context, r MakeAccountLinkRequestObject) (MakeAccountLinkResponseObject, error) {
	link, err := account.NewLink(ctx, s.DB, callerOf(ctx), r.Account, or(r.Body.Factor, false))
	if err != nil {
		return nil, err
	}
	handed, err := s.handOver(ctx, link, r.Account)
	return MakeAccountLink201JSONResponse(handed), err
}

// DisableAccount ends an account at once.
func (s *Server) DisableAccount(ctx context.Context, r DisableAccountRequestObject) (DisableAccountResponseObject, error) {
	if err := s.manages(ctx); err != nil {
		return nil, err
	}
	return DisableAccount204Response{}, account.Disable(ctx, s.DB, callerOf(ctx), r.Account)
}

// ProposeRoles proposes other roles.
func (s *Server) ProposeRoles(ctx context.Context, r ProposeRolesRequestObject) (ProposeRolesResponseObject, error) {
	return ProposeRoles204Response{}, account.ProposeRoles(ctx, s.DB, callerOf(ctx), r.Account, asRoles(r.Body.Roles))
}

// ProposeOpening proposes to open a disabled account again.
func (s *Server) ProposeOpening(ctx context.Context, r ProposeOpeningRequestObject) (ProposeOpeningResponseObject, error) {
	return ProposeOpening204Response{}, account.ProposeEnable(ctx, s.DB, callerOf(ctx), r.Account)
}

// ListAccessReviews shows who has access.
func (s *Server) ListAccessReviews(ctx context.Context, _ ListAccessReviewsRequestObject) (ListAccessReviewsResponseObject, error) {
	lines, last, err := account.Reviews(ctx, s.DB, callerOf(ctx))
	return ListAccessReviews200JSONResponse{LastAt: last, Accounts: list(lines, func(l account.ReviewLine) AccessReview {
		return AccessReview{Account: showAccount(l.Person), DueAt: l.ReviewDue(), Overdue: l.Late, MayConfirm: l.May, ReviewedBy: set(l.By)}
	})}, err
}

// ConfirmAccess says that an account still needs what it has.
func (s *Server) ConfirmAccess(ctx context.Context, r ConfirmAccessRequestObject) (ConfirmAccessResponseObject, error) {
	return ConfirmAccess204Response{}, account.Review(ctx, s.DB, callerOf(ctx), r.Account)
}

// ListAddressRanges shows the networks from which a password is enough.
func (s *Server) ListAddressRanges(ctx context.Context, _ ListAddressRangesRequestObject) (ListAddressRangesResponseObject, error) {
	found, err := account.Ranges(ctx, s.DB, callerOf(ctx))
	return ListAddressRanges200JSONResponse{Ranges: list(found, func(r account.Range) AddressRange {
		return AddressRange{Id: r.ID, Network: r.Network.String(), Place: r.Place, AddedAt: r.AddedAt}
	})}, err
}

// ProposeAddressRange proposes one.
func (s *Server) ProposeAddressRange(ctx context.Context, r ProposeAddressRangeRequestObject) (ProposeAddressRangeResponseObject, error) {
	return ProposeAddressRange204Response{}, account.ProposeRange(ctx, s.DB, callerOf(ctx), r.Body.Network, r.Body.Place)
}

// ProposeAddressRangeRemoval proposes that one is taken away.
func (s *Server) ProposeAddressRangeRemoval(ctx context.Context, r ProposeAddressRangeRemovalRequestObject) (ProposeAddressRangeRemovalResponseObject, error) {
	return ProposeAddressRangeRemoval204Response{}, account.ProposeRangeRemoval(ctx, s.DB, callerOf(ctx), r.Range)
}
