package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/frist-app/frist/internal/blob"
	"github.com/jackc/pgx/v5/pgconn"
)

// secret reads a value from the environment, or from the file that its sibling NAME_FILE names. Empty when neither is set.
func secret(name string) (string, error) {
	value, file := os.Getenv(name), os.Getenv(name+"_FILE")
	switch {
	case value != "" && file != "":
		return "", fmt.Errorf("%s and %s_FILE are both set; set one", name, name)
	case file == "":
		return value, nil
	}
	raw, err := os.ReadFile(file) // #nosec G304 -- the operator names the file
	if err != nil {
		return "", fmt.Errorf("%s_FILE cannot be read: %w", name, err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// dsn reads a connection string. It must be there, and be safe to use.
func dsn(name, what string) (string, error) {
	value, err := secret(name)
	if err != nil {
		return "", err
	}
	if value == "" {
		return "", fmt.Errorf("%s is not set: the connection string of %s", name, what)
	}
	if err := safe(value); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}

// safe refuses a connection that leaves this machine without TLS whose certificate is checked: pgx falls back to plain
// text by default, and a client's record would cross the network readable (PROOF 2.1). The one exception is a network that
// FRIST_DB_PRIVATE_NETWORK names, which nobody but the installation's own machines is on.
func safe(dsn string) error {
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return errors.New("the connection string is not understood") // err would repeat the password
	}
	own, err := privateNetworks(os.Getenv("FRIST_DB_PRIVATE_NETWORK"))
	if err != nil {
		return err
	}
	ways := []*pgconn.FallbackConfig{{Host: config.Host, TLSConfig: config.TLSConfig}}
	for _, way := range append(ways, config.Fallbacks...) {
		checked := way.TLSConfig != nil && (!way.TLSConfig.InsecureSkipVerify || way.TLSConfig.VerifyPeerCertificate != nil)
		if !checked && !onThisMachine(way.Host) && !own.hold(way.Host) {
			return fmt.Errorf("the database on %s is reached over a network, so its connection string needs sslmode=verify-full (or verify-ca) and the certificate authority in sslrootcert", way.Host)
		}
	}
	return nil
}

func onThisMachine(host string) bool {
	if strings.HasPrefix(host, "/") || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// networks are those on which a database may be spoken to without TLS.
type networks []netip.Prefix

// privateNetworks reads "10.0.0.0/8, fd00::/8". Only addresses that are never routed on the internet can be named, so that
// no slip of the pen opens the world.
func privateNetworks(list string) (networks, error) {
	var all networks
	for _, part := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, errors.New("FRIST_DB_PRIVATE_NETWORK is not a list of networks such as 10.20.0.0/16")
		}
		if !never(prefix) {
			return nil, fmt.Errorf("FRIST_DB_PRIVATE_NETWORK: %s is not a private network", prefix)
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

// never reports whether no address of prefix is routed on the internet (RFC 1918, RFC 4193).
func never(prefix netip.Prefix) bool {
	for _, private := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"} {
		p := netip.MustParsePrefix(private)
		if prefix.Bits() >= p.Bits() && p.Contains(prefix.Addr()) {
			return true
		}
	}
	return false
}

// hold reports whether host is an address in one of them. A name is not: whoever answers for names could answer another.
func (n networks) hold(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range n {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

const shortestKey = 32

// hashKey reads the key of the keyed hashes (D22, D25). It lies outside the database and is never made by the way: a new
// key would forget every registration that must not come back.
func hashKey(home string) ([]byte, error) {
	value, err := secret("FRIST_KEY")
	if err != nil {
		return nil, err
	}
	if value == "" {
		file := filepath.Join(home, "key")
		raw, err := os.ReadFile(file) // #nosec G304 -- in the folder that the operator named
		if home == "" || errors.Is(err, os.ErrNotExist) {
			return nil, errors.New("there is no key: set FRIST_KEY_FILE to a file with 32 or more random characters, and keep it for as long as the database")
		}
		if err != nil {
			return nil, err
		}
		value = strings.TrimSpace(string(raw))
	}
	if len(value) < shortestKey {
		return nil, fmt.Errorf("the key has %d characters and needs %d", len(value), shortestKey)
	}
	return []byte(value), nil
}

// openBlobs opens the folder of the recordings: FRIST_BLOBS, or blobs in FRIST_HOME.
func openBlobs(home, folder string) (*blob.Store, error) {
	if folder == "" {
		if home == "" {
			return nil, errors.New("there is no place for recordings: set FRIST_BLOBS, or FRIST_HOME")
		}
		folder = filepath.Join(home, "blobs")
	}
	store, err := blob.OpenFolder(folder)
	if err != nil {
		return nil, fmt.Errorf("the recordings' folder cannot be opened: %w", err)
	}
	return store, nil
}
