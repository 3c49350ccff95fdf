package embedded

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the uid that PostgreSQL runs under: our own, or, since it refuses
// root, an unprivileged one.
type account struct {
	root     bool
	uid, gid uint32
	reach    bool // needs a capability to walk to its data, e.g. below /root
}

func newAccount(dir string) account {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid())} //nolint:gosec // a uid fits
	}
	a := account{root: true, uid: 65534, gid: 65534}
	if u, err := user.Lookup("nobody"); err == nil {
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			a.uid, a.gid = uint32(uid), uint32(gid)
		}
	}
	a.reach = !walkable(filepath.Dir(dir))
	return a
}

// postgresCacheDir is cacheDir, or for root the system's cache where only root
// may enter its own: the server's binaries must be reachable for the
// unprivileged uid without help, since initdb asks access(2), which looks past
// capabilities.
func postgresCacheDir() (string, error) {
	cache, err := cacheDir()
	if err != nil || os.Geteuid() != 0 || walkable(cache) {
		return cache, err
	}
	cache = "/var/cache/gatestay"
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // read by the unprivileged uid
		return "", fmt.Errorf("embedded: %w", err)
	}
	return cache, nil
}

// walkable reports whether everybody may traverse the folder and all above it.
// A folder that does not exist yet counts by its parents; ours are 0700.
func walkable(path string) bool {
	for {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(path)
		if parent == path {
			return true
		}
		path = parent
	}
}

// own gives a folder with all in it to the account.
func (a account) own(path string) error {
	if !a.root {
		return nil
	}
	err := filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(a.uid), int(a.gid)) //nolint:gosec // our own folder, and links are not followed
	})
	if err != nil {
		return fmt.Errorf("embedded: postgres: change owner: %w", err)
	}
	return nil
}

// apply makes cmd run under the account, in an environment of its own: the
// caller's PG* variables are for clients.
func (a account) apply(cmd *exec.Cmd) {
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.Dir = "/"
	if !a.root {
		return
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: a.uid, Gid: a.gid}}
	if a.reach {
		grantReach(cmd.SysProcAttr)
		// The capability acts from the first exec on, so that one must be
		// reachable without it.
		cmd.Args = append([]string{"sh", "-c", `exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	}
}

// run runs cmd under the account with stdin and returns its output on failure.
func (a account) run(cmd *exec.Cmd, stdin string) error {
	var out bytes.Buffer
	a.apply(cmd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w:\n%s", filepath.Base(cmd.Path), err, lastLines(out.String(), 12))
	}
	return nil
}
