package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/problem"
)

// Security is what /.well-known/security.txt says (RFC 9116): where somebody who found a hole writes to, and until when that
// is sure to be read. Without a contact there is no such file.
type Security struct {
	Contact string // a mailto: or https: address
	Policy  string // an https: address; may be empty
	Expires time.Time
}

// demoSecurity stands in a demo, so that the file can be seen there.
var demoSecurity = Security{Contact: "mailto:sikkerhet@example.no", Policy: "https://example.no/sikkerhet"}

// soon is how long before its end somebody is told that the file expires.
const soon = 30 * 24 * time.Hour

// Check tells what is wrong with it; nothing is when there is no contact.
func (s Security) Check() error {
	if s == (Security{}) {
		return nil
	}
	if u, err := url.Parse(s.Contact); err != nil || (u.Scheme != "mailto" && u.Scheme != "https") || strings.ContainsAny(s.Contact, " \r\n") {
		return errors.New("the contact of security.txt must be a mailto: or https: address")
	}
	if u, err := url.Parse(s.Policy); s.Policy != "" && (err != nil || u.Scheme != "https" || strings.ContainsAny(s.Policy, " \r\n")) {
		return errors.New("the policy of security.txt must be an https: address")
	}
	if s.Expires.IsZero() {
		return errors.New("security.txt needs the day on which it expires: a contact that nobody looks after is worse than none")
	}
	return nil
}

// Warning says that the file has expired at now, or soon will have; empty when it has not, or when there is none.
func (s Security) Warning(now time.Time) string {
	switch {
	case s.Contact == "" || s.Expires.Sub(now) > soon:
		return ""
	case now.Before(s.Expires):
		return fmt.Sprintf("security.txt expires on %s", s.Expires.UTC().Format(time.DateOnly))
	}
	return fmt.Sprintf("security.txt has expired on %s", s.Expires.UTC().Format(time.DateOnly))
}

// security is what holds now: in a demo, whose clock may stand anywhere, it is always good for half a year.
func (s *Site) security() Security {
	if s.Security.Contact == "" && s.Demo {
		demo := demoSecurity
		demo.Expires = s.DB.Now().AddDate(0, 6, 0).Truncate(24 * time.Hour)
		return demo
	}
	return s.Security
}

func (s *Site) securityTxt(w http.ResponseWriter, _ *http.Request) error {
	txt := s.security()
	if txt.Contact == "" {
		return problem.NotFound{What: "file"}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Contact: %s\nExpires: %s\n", txt.Contact, txt.Expires.UTC().Format(time.RFC3339))
	if txt.Policy != "" {
		fmt.Fprintf(&b, "Policy: %s\n", txt.Policy)
	}
	fmt.Fprintf(&b, "Preferred-Languages: nb, en")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	plain(w, http.StatusOK, b.String())
	return nil
}
