// Package demoprovider runs a certified OpenID Connect provider in the shape of ID-porten, whose people are invented: for the
// demo and for tests. It is a program of Node in web/oidc and needs what deploy/deps.sh puts there.
package demoprovider

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/frist-app/frist/internal/oidc"
	"github.com/go-jose/go-jose/v4"
)

// Person is somebody whom the provider knows.
type Person struct {
	PID  string `json:"pid"`
	Name string `json:"name"`
}

// ErrMissing says that there is no Node, or that its packages are not there.
var ErrMissing = errors.New("there is no Node with the packages of web/oidc")

// Running is the provider at work. Stop it.
type Running struct {
	Provider *oidc.Provider
	stop     func() error
}

// Start runs the program in folder (web/oidc) with a new key in keyFile, and waits until it answers. redirect is where it
// sends people back. wall may be nil.
func Start(ctx context.Context, folder, keyFile, redirect, label string, people []Person, wall func() time.Time) (*Running, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, ErrMissing
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "oidc-provider", "package.json")); err != nil {
		return nil, ErrMissing
	}
	jwk, err := makeKey(keyFile)
	if err != nil {
		return nil, err
	}
	told, err := json.Marshal(map[string]any{"client_id": "frist", "redirect": redirect, "jwk": jwk, "people": people})
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(context.WithoutCancel(ctx), node, "op.mjs") // #nosec G204 -- our own program
	command.Dir = folder
	command.Env = append(os.Environ(), "FRIST_OP="+string(told), "NODE_NO_WARNINGS=1")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us; we end it
	input, err := command.StdinPipe()                         // closed by the system however we end, and that ends it
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	r := &Running{stop: func() error {
		_ = input.Close()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = command.Wait() // how it ended tells nothing
		}()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = command.Process.Kill()
			<-ended
		}
		return nil
	}}
	lines := make(chan string, 1)
	go func() {
		reader := bufio.NewReader(output)
		line, _ := reader.ReadString('\n')
		lines <- line
		_, _ = io.Copy(io.Discard, reader)
	}()
	var said struct {
		Issuer string `json:"issuer"`
	}
	select {
	case line := <-lines:
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			return nil, errors.Join(fmt.Errorf("the provider of the demo did not start: %w", err), r.stop())
		}
	case <-time.After(60 * time.Second):
		return nil, errors.Join(errors.New("the provider of the demo did not start within a minute"), r.stop())
	}
	r.Provider, err = oidc.New(oidc.Config{Name: "demo", Label: label, Issuer: said.Issuer, ClientID: "frist", KeyFile: keyFile, KeyID: "demo", Redirect: redirect, Wall: wall})
	if err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

// Stop ends the provider.
func (r *Running) Stop() error { return r.stop() }

func makeKey(file string) (jose.JSONWebKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	return jose.JSONWebKey{Key: &key.PublicKey, KeyID: "demo", Use: "sig", Algorithm: "RS256"}, err
}
