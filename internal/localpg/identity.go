package localpg

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// identity is one way of not being root, which PostgreSQL refuses to be.
type identity struct {
	name string
	// base holds the data folder; it differs from Options.Dir when the data
	// has to be where another user can reach it.
	base string
	attr syscall.SysProcAttr
}

// identities lists the ways to try, best first. For an ordinary user there is
// only one. For root a user namespace is best: nothing changes owner.
func identities(dir string) []identity {
	if os.Geteuid() != 0 {
		return []identity{{name: "as this user", base: dir}}
	}
	ways := []identity{{
		name: "in a user namespace",
		base: dir,
		attr: syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getgid(), Size: 1}},
		},
	}}
	sum := sha256.Sum256([]byte(dir))
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
		if errUID != nil || errGID != nil {
			continue
		}
		ways = append(ways, identity{
			name: "as user " + name,
			base: "/var/tmp/frist-pg-" + name + "-" + hex.EncodeToString(sum[:6]),
			attr: syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}},
		})
	}
	return ways
}

// choose takes the first identity under which the programs really run and the
// data folder's parent can really be written, and tells their version. Whether
// that works depends on the kernel, the container and the folders above: only
// trying tells.
func choose(ways []identity, bin string) (identity, string, error) {
	var reasons []string
	for _, way := range ways {
		version, err := way.try(bin)
		if err == nil {
			return way, version, nil
		}
		reasons = append(reasons, way.name+": "+err.Error())
	}
	return identity{}, "", fmt.Errorf("PostgreSQL in %s cannot be started with data under %s (%s)", bin, ways[0].base, strings.Join(reasons, "; "))
}

func (id identity) try(bin string) (version string, err error) {
	if err := id.prepare(); err != nil {
		return "", err
	}
	out, err := id.command(bin, "/bin/sh", "-c", `test -w "$0" && exec "$1" --version`, id.base, filepath.Join(bin, "postgres")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w %s", err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

// prepare makes the base folder. Under /var/tmp anybody may have made one with
// the same name before: such a folder is refused, not trusted.
func (id identity) prepare() error {
	credential := id.attr.Credential
	if credential == nil {
		return os.MkdirAll(id.base, 0o700)
	}
	switch err := os.Mkdir(id.base, 0o700); {
	case err == nil:
		return os.Chown(id.base, int(credential.Uid), int(credential.Gid))
	case !os.IsExist(err):
		return err
	}
	info, err := os.Lstat(id.base)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || info.Mode().Perm() != 0o700 || owner.Uid != credential.Uid {
		return fmt.Errorf("%s belongs to somebody else", id.base)
	}
	return nil
}

// give hands a file over to the identity, where that is another user.
func (id identity) give(path string) error {
	if id.attr.Credential == nil {
		return nil
	}
	return os.Chown(path, int(id.attr.Credential.Uid), int(id.attr.Credential.Gid))
}

// command builds a call with an environment of its own: PGPORT, PGDATA or a
// secret of the caller have no business in the server.
func (id identity) command(bin, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	if lib := filepath.Join(filepath.Dir(bin), "lib"); strings.Contains(bin, "@embedded-postgres") {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+lib)
	}
	attr := id.attr
	attr.Setpgid = true // Ctrl-C in the terminal is for us to pass on, once
	cmd.SysProcAttr = &attr
	return cmd
}
