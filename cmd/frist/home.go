package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/frist-app/frist/internal/pg"
)

// home is the folder in which a demo lives: a private PostgreSQL, the recordings, the key, passwords, the clock.
type home string

func (h home) file(name string) string { return filepath.Join(string(h), name) }

// lock takes the folder for this process. The kernel gives it back however the process ends.
func (h home) lock() (*os.File, error) {
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(h.file("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close() //nolint:errcheck // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another Frist is running in %s; stop it, or choose another folder with FRIST_HOME", h)
		}
		return nil, err
	}
	return file, nil
}

// write replaces a file at once, readable by its owner only.
func (h home) write(name string, data []byte) error {
	fresh := h.file(name + ".new")
	if err := os.WriteFile(fresh, data, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, h.file(name))
}

// logins are the secrets of a demo: made once, kept for its life.
type logins struct {
	Web      string `json:"frist_web"`
	Operator string `json:"frist_operator"`
	Worker   string `json:"frist_worker"`
	Personas string `json:"personas"` // what the personas' passwords are derived from
	Base     string `json:"base"`     // the database without login and password
}

// secrets reads the demo's secrets, and makes those that are missing, the key among them.
func (h home) secrets() (logins, error) {
	var l logins
	raw, err := os.ReadFile(h.file("logins.json"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		l = logins{Web: rand.Text(), Operator: rand.Text(), Worker: rand.Text(), Personas: rand.Text()}
		if err := h.keep(l); err != nil {
			return l, err
		}
	case err != nil:
		return l, err
	default:
		if err := json.Unmarshal(raw, &l); err != nil {
			return l, fmt.Errorf("%s is damaged; remove %s to begin again", h.file("logins.json"), h)
		}
	}
	if _, err := os.Stat(h.file("key")); errors.Is(err, os.ErrNotExist) {
		return l, h.write("key", []byte(rand.Text()+rand.Text()+"\n"))
	}
	return l, nil
}

func (h home) keep(l logins) error {
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return h.write("logins.json", append(raw, '\n'))
}

// password is a persona's: the same at every start, and another in every demo.
func (l logins) password(login string) string {
	mac := hmac.New(sha256.New, []byte(l.Personas))
	mac.Write([]byte(login))
	return strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil))[:24])
}

// dsn is the address of one login.
func (l logins) dsn(login, password string) (string, error) {
	address, err := url.Parse(l.Base)
	if err != nil || address.Host == "" {
		return "", errors.New("this demo has not been started yet")
	}
	address.User = url.UserPassword(login, password)
	return address.String(), nil
}

// openWeb opens the database as frist_web: by FRIST_WEB_DSN, or that of the demo in the home, with its clock.
func openWeb(ctx context.Context, folder string) (*pg.DB, error) {
	address, err := secret("FRIST_WEB_DSN")
	if err != nil {
		return nil, err
	}
	if address == "" && folder != "" {
		h := home(folder)
		if _, err := os.Stat(h.file("logins.json")); err == nil {
			l, err := h.secrets()
			if err != nil {
				return nil, err
			}
			if address, err = l.dsn("frist_web", l.Web); err != nil {
				return nil, err
			}
			offset, err := h.offset()
			if err != nil {
				return nil, err
			}
			c := &clock{}
			c.offset.Store(int64(offset))
			return pg.Open(ctx, pg.Config{Web: address, Clock: c.Now})
		}
	}
	if address, err = dsn("FRIST_WEB_DSN", "the login frist_web"); err != nil {
		return nil, err
	}
	return pg.Open(ctx, pg.Config{Web: address})
}

// clock is the demo's: the real one, moved. It runs on from wherever it was put.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// offset is how far the demo's clock was moved when it was last started; zero when never.
func (h home) offset() (time.Duration, error) {
	raw, err := os.ReadFile(h.file("clock"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	offset, err := time.ParseDuration(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, fmt.Errorf("%s is damaged; set FRIST_NOW, or remove the file for the real time", h.file("clock"))
	}
	return offset, nil
}

// parseNow reads FRIST_NOW: an instant, or a day, of which it is then eight in the morning in Norway.
func parseNow(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("FRIST_NOW is %q; write 2023-10-05 or 2023-10-05T08:00:00+02:00", s)
	}
	return t.Add(8 * time.Hour), nil
}

// address is how a browser on this machine reaches the listener.
func address(asked string, listening net.Addr) string {
	host, _, err := net.SplitHostPort(asked)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(listening.String())
	return "http://" + net.JoinHostPort(host, port)
}
