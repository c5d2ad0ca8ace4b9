package mail

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/frist-app/frist/internal/mail/mailtest"
)

func open(t *testing.T, server *mailtest.Server, log *bytes.Buffer) *Post {
	t.Helper()
	p, err := Open(server.URL, "Frist <frist@example.no>", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	p.pauses = []time.Duration{time.Millisecond}
	return p
}

func finish(p *Post) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p.Close(ctx)
}

func TestAMailArrives(t *testing.T) {
	server, log := mailtest.Start(t), new(bytes.Buffer)
	p := open(t, server, log)
	p.Later("kari@example.no", "Nytt passord på Frist", "Åpne https://frist.example.no/konto/lenke/abc\n")
	finish(p)
	got := server.Got()
	if len(got) != 1 || got[0].To != "kari@example.no" || got[0].From != "frist@example.no" || !strings.Contains(got[0].Data, "Precedence: auto_reply") {
		t.Fatalf("%+v %s", got, log)
	}
	if log.Len() > 0 {
		t.Errorf("a mail that arrived is in the log: %s", log)
	}
}

// A server that is busy (4xx) is asked again; one that has said no (5xx) is not. The log says what kind of answer it was,
// and neither the address nor the link.
func TestWhatAServerRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		refuse func(try int) error
		tries  int
		sent   int
		says   string
	}{
		{"busy twice", func(try int) error {
			if try < 3 {
				return &smtp.SMTPError{Code: 451, Message: "busy, kari@example.no"}
			}
			return nil
		}, 3, 1, ""},
		{"busy always", func(int) error { return &smtp.SMTPError{Code: 450, Message: "busy, kari@example.no"} }, 4, 0, "answered 450"},
		{"unknown", func(int) error { return &smtp.SMTPError{Code: 550, Message: "no kari@example.no here"} }, 1, 0, "answered 550"},
	} {
		server, log := mailtest.Start(t), new(bytes.Buffer)
		server.Refuse(c.refuse)
		p := open(t, server, log)
		p.Later("kari@example.no", "S", "secret-link")
		finish(p)
		if server.Tries() != c.tries || len(server.Got()) != c.sent {
			t.Errorf("%s: %d tries, %d sent", c.name, server.Tries(), len(server.Got()))
		}
		if text := log.String(); (c.says == "") != (text == "") || !strings.Contains(text, c.says) || strings.Contains(text, "kari") || strings.Contains(text, "secret") {
			t.Errorf("%s: the log says %q", c.name, text)
		}
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	log := new(bytes.Buffer)
	p, err := Open("smtp://127.0.0.1:1", "frist@example.no", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	p.pauses = []time.Duration{time.Millisecond}
	begin := time.Now()
	p.Later("kari@example.no", "S", "B")
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the one who asked waited %s", took)
	}
	finish(p)
	if !strings.Contains(log.String(), "not sent") || strings.Contains(log.String(), "kari") {
		t.Error(log)
	}
}

func TestSettings(t *testing.T) {
	for _, address := range []string{"", "mail.example.no", "http://mail.example.no", "smtp://", "smtp://user:secret@mail.example.no:x", "smtp://user:secret@[::1"} {
		if _, err := Open(address, "frist@example.no", slog.Default()); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := Open("smtp://mail.example.no", "", slog.Default()); err == nil {
		t.Error("without a sender")
	}
	// Nothing leaves in the open for another machine: a server without STARTTLS gets no mail. The test's own, reached under
	// a name that is not this machine's, would be one; the client's own policy is what decides.
	for address, tls := range map[string]string{"smtp://mail.example.no": "TLSMandatory", "smtp://localhost": "TLSOpportunistic", "smtp://127.0.0.1:25": "TLSOpportunistic", "smtps://mail.example.no": "TLSMandatory"} {
		p, err := Open(address, "frist@example.no", slog.Default())
		if err != nil {
			t.Fatal(err)
		}
		client, err := p.dial()
		if err != nil || client.TLSPolicy() != tls {
			t.Errorf("%s: %s %v", address, client.TLSPolicy(), err)
		}
		finish(p)
	}
}
