// Package mail sends short messages by SMTP, later: whoever hands one in never waits for a server, and cannot tell from the
// time it takes whether there was anybody to write to. It knows nothing of what the messages say.
package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/wneessen/go-mail"
)

const (
	queue    = 256 // messages that wait; more are dropped
	tries    = 4
	patience = 20 * time.Second // with the server, for one try
)

// Post is a way to send mail. Make it with Open, and Close it.
type Post struct {
	from   string
	dial   func() (*mail.Client, error)
	log    *slog.Logger
	queue  chan message
	done   chan struct{}
	once   sync.Once
	cancel context.CancelFunc
	pauses []time.Duration // between the tries
}

type message struct{ to, subject, body string }

// Open reads an address as smtp://login:password@mail.example.no:587 or smtps://…:465. TLS is demanded, by STARTTLS or from the
// first byte, unless the server is this machine. from is the sender's address. The server is asked when there is something to send.
func Open(address, from string, log *slog.Logger) (*Post, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return nil, errors.New("it must be of the form smtp://login:password@mail.example.no:587") // err would repeat the password
	}
	port := map[string]int{"smtp": 587, "smtps": 465}[u.Scheme]
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil {
			return nil, errors.New("its port is not a number")
		}
	}
	options := []mail.Option{mail.WithPort(port), mail.WithTimeout(patience), mail.WithTLSPortPolicy(mail.TLSMandatory), mail.WithPort(port)}
	switch ip, _ := netip.ParseAddr(u.Hostname()); {
	case u.Scheme == "smtps":
		options = append(options, mail.WithSSL())
	case u.Hostname() == "localhost" || ip.IsLoopback():
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if login := u.User.Username(); login != "" {
		password, _ := u.User.Password()
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(login), mail.WithPassword(password))
	}
	if err := mail.NewMsg().From(from); err != nil {
		return nil, errors.New("the sender's address is missing or not understood")
	}
	host := u.Hostname()
	dial := func() (*mail.Client, error) { return mail.NewClient(host, options...) }
	if _, err := dial(); err != nil {
		return nil, errors.New("it is not understood")
	}
	p := &Post{from: from, dial: dial, log: log, queue: make(chan message, queue), done: make(chan struct{}), pauses: []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute}}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go p.work(ctx)
	return p, nil
}

// Later takes a message and returns at once. When too many wait already it is dropped, and the log says so.
func (p *Post) Later(to, subject, body string) {
	select {
	case p.queue <- message{to, subject, body}:
	default:
		p.log.Warn("a mail was dropped: too many wait")
	}
}

// Close gives what waits until ctx ends to be sent.
func (p *Post) Close(ctx context.Context) {
	p.once.Do(func() { close(p.queue) })
	select {
	case <-p.done:
	case <-ctx.Done():
	}
	p.cancel()
}

func (p *Post) work(ctx context.Context) {
	defer close(p.done)
	for m := range p.queue {
		for try := range tries {
			err := p.send(ctx, m)
			if err == nil {
				break
			}
			var answered *mail.SendError
			if last := try == tries-1; last || ctx.Err() != nil || errors.As(err, &answered) && !answered.IsTemp() && refused(answered) {
				p.log.Error("a mail was not sent", "kind", kind(err), "tries", try+1)
				break
			}
			select {
			case <-time.After(p.pauses[min(try, len(p.pauses)-1)]):
			case <-ctx.Done():
			}
		}
	}
}

// refused: the server has said no to this message (5xx). Everything else may be better in a while.
func refused(err *mail.SendError) bool {
	switch err.Reason {
	case mail.ErrSMTPMailFrom, mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose:
		return err.ErrorCode() >= 500
	}
	return false
}

// kind tells what sort of error it is: servers repeat addresses in what they say.
func kind(err error) string {
	var answered *mail.SendError
	if errors.As(err, &answered) {
		return fmt.Sprintf("answered %d", answered.ErrorCode())
	}
	return fmt.Sprintf("%T", errors.Unwrap(err))
}

func (p *Post) send(ctx context.Context, m message) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(p.from), msg.To(m.to)); err != nil {
		return err
	}
	msg.Subject(m.subject)
	msg.SetBodyString(mail.TypeTextPlain, m.body)
	msg.SetGenHeader(mail.HeaderPrecedence, "auto_reply") // no answer from an absent person's programme
	client, err := p.dial()
	if err != nil {
		return err
	}
	return client.DialAndSendWithContext(ctx, msg)
}
