package edge

import (
	"strings"
	"testing"
	"time"
)

func TestSecurityTxtIsChecked(t *testing.T) {
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		s    Security
		well bool
	}{
		{Security{}, true},
		{Security{Contact: "mailto:a@b.no", Expires: end}, true},
		{Security{Contact: "https://b.no/x", Policy: "https://b.no/p", Expires: end}, true},
		{Security{Contact: "mailto:a@b.no"}, false},
		{Security{Contact: "a@b.no", Expires: end}, false},
		{Security{Contact: "javascript:x", Expires: end}, false},
		{Security{Contact: "mailto:a@b.no\nContact: mailto:evil@b.no", Expires: end}, false},
		{Security{Contact: "mailto:a@b.no", Policy: "http://b.no", Expires: end}, false},
		{Security{Expires: end}, false},
	} {
		if err := c.s.Check(); (err == nil) != c.well {
			t.Errorf("%+v: %v", c.s, err)
		}
	}
}

func TestSecurityTxtWarnsBeforeItsEnd(t *testing.T) {
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	s := Security{Contact: "mailto:a@b.no", Expires: end}
	for _, c := range []struct {
		now  time.Time
		want string
	}{
		{end.Add(-soon - time.Second), ""},
		{end.Add(-soon), "expires on 2027-01-01"},
		{end.Add(-time.Second), "expires on"},
		{end, "has expired"},
	} {
		if got := s.Warning(c.now); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("at %s: %q", c.now, got)
		}
	}
	if got := (Security{}).Warning(end); got != "" {
		t.Errorf("without a contact: %q", got)
	}
}
