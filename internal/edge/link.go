package edge

import (
	"context"

	"github.com/frist-app/frist/internal/account"
)

// HandOver mails a link that was made for somebody, where there is an address and mail, and gives its whole address for
// whoever made it: below base where the installation does not know its own. It works once and lets somebody in, so it is
// shown to its maker and stands nowhere else.
func (s *Site) HandOver(ctx context.Context, link account.Link, person int64, base string) (address string, sent bool, err error) {
	address = base + link.Path()
	if s.House == nil {
		return address, false, nil
	}
	if whole := s.House.Address(link.Token); whole != "" {
		address = whole
	}
	sent, err = s.House.SendLink(ctx, s.DB, person, link.Token, link.Purpose)
	return address, sent, err
}
