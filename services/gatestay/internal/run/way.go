package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// spare connections beside those that the credential opens: cancel requests
// must get through while all others are in use.
const spare = 8

// way is a private way to the gateway for one child: sockets in a fresh folder,
// and who serves them.
type way struct {
	dir       string
	listener  net.Listener // PostgreSQL
	control   net.Listener
	password  string // of the loopback port
	variables map[string]string

	stop   context.CancelFunc
	served sync.WaitGroup
}

// openWay makes the sockets and serves them. Close ends it.
func openWay(ctx context.Context, g *Gateway, r *Run, target string, tcp bool) (*way, error) {
	w := &way{}
	if err := w.listen(tcp); err != nil {
		w.remove()
		return nil, err
	}
	w.variables = viaSocket(target, r.ID, w.dir)
	if tcp {
		w.variables = viaLoopback(target, r.ID, w.dir, w.listener.Addr(), w.password)
	}
	most := max(r.Connections, 1) + spare
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.served.Go(func() {
		(&proxy{gateway: g, credential: r.Credential, password: w.password, most: most}).serve(ctx, w.listener)
	})
	name, _, _ := strings.Cut(target, "/")
	w.served.Go(func() {
		(&control{gateway: g, credential: r.Credential, target: name}).serve(ctx, w.control)
	})
	return w, nil
}

func (w *way) listen(tcp bool) error {
	var err error
	if w.dir, err = privateDir(); err != nil {
		return err
	}
	if w.control, err = listenUnix(filepath.Join(w.dir, controlSocket)); err != nil {
		return err
	}
	if !tcp {
		w.listener, err = listenUnix(filepath.Join(w.dir, ".s.PGSQL.5432"))
		return err
	}
	w.password = rand.Text()
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// privateDir returns a new folder of mode 0700 whose path leaves room for a
// socket's name (108 bytes on Linux, 104 elsewhere).
func privateDir() (string, error) {
	parent := os.TempDir()
	if len(parent) > 60 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "gatestay-")
	if err != nil {
		return "", fmt.Errorf("run: %w", err)
	}
	return dir, nil
}

func listenUnix(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("run: %w", err), l.Close())
	}
	return l, nil
}

// close ends all connections and removes the folder.
func (w *way) close() {
	w.stop()
	w.served.Wait()
	w.remove()
}

func (w *way) remove() {
	for _, l := range []net.Listener{w.listener, w.control} {
		if l != nil {
			_ = l.Close()
		}
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}
