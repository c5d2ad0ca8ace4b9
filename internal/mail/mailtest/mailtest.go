// Package mailtest is a mail server within a test: real SMTP on a port of this machine, that can be told to refuse.
package mailtest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Message is what arrived.
type Message struct{ From, To, Data string }

// Server keeps what arrives.
type Server struct {
	URL string

	mu     sync.Mutex
	got    []Message
	tries  int
	refuse func(try int) error
}

// Start starts one, which ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{URL: "smtp://" + listener.Addr().String()}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	server.Domain = "localhost"
	server.ReadTimeout, server.WriteTimeout = 10*time.Second, 10*time.Second
	go server.Serve(listener) //nolint:errcheck // ends with the test
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// Refuse makes the server answer every recipient with what refuse gives for the n-th try, from 1 on.
func (s *Server) Refuse(refuse func(try int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse, s.tries = refuse, 0
}

// Tries is how many recipients were named since Refuse.
func (s *Server) Tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

// Got is what arrived so far.
func (s *Server) Got() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.got...)
}

// Wait waits until n messages have arrived, and gives them.
func (s *Server) Wait(t testing.TB, n int) []Message {
	t.Helper()
	for range 3000 {
		if got := s.Got(); len(got) >= n {
			return got
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d of %d mails arrived", len(s.Got()), n)
	return nil
}

type session struct {
	server  *Server
	message Message
}

func (s *session) Reset() { s.message = Message{} }

func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.message.From = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.message.To = to
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.tries++
	if s.server.refuse != nil {
		return s.server.refuse(s.server.tries)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.message.Data = string(raw)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.got = append(s.server.got, s.message)
	return nil
}
