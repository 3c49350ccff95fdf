package embedded

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fakeNPM puts an npm on the PATH that notes each call and "installs" a package
// as the real one does. script runs with $prefix set.
func fakeNPM(t *testing.T, script string) (calls func() int) {
	t.Helper()
	bin := t.TempDir()
	log := filepath.Join(bin, "calls")
	text := "#!/bin/sh\necho called >> " + log + "\nwhile [ \"$1\" != --prefix ]; do shift; done\nprefix=$2\n" + script
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	return func() int {
		raw, err := os.ReadFile(log)
		if err != nil {
			return 0
		}
		return strings.Count(string(raw), "called")
	}
}

const installsOne = `mkdir -p "$prefix/node_modules/@x/y/native/lib"
echo content > "$prefix/node_modules/@x/y/native/lib/libz.so.1.2"
echo '[{"source":"native/lib/libz.so.1.2","target":"native/lib/libz.so"},{"source":"native/lib/libz.so.1.2","target":"native/libz"}]' > "$prefix/node_modules/@x/y/native/pg-symlinks.json"
`

func TestInstall_onceWhateverManyAsk(t *testing.T) {
	calls := fakeNPM(t, installsOne)
	cache := t.TempDir()
	p := npmPackage{"@x/y", "1.0.0"}
	if err := os.MkdirAll(filepath.Join(cache, "x-y@1.0.0.tmp-left-by-a-killed-process"), 0o700); err != nil {
		t.Fatal(err)
	}
	var asked sync.WaitGroup
	for range 8 {
		asked.Go(func() {
			dir, err := install(t.Context(), cache, p, nil)
			if err != nil {
				t.Error(err)
				return
			}
			for _, link := range []string{"native/lib/libz.so", "native/libz"} {
				if raw, err := os.ReadFile(filepath.Join(dir, link)); err != nil || string(raw) != "content\n" {
					t.Errorf("%s: %q, %v", link, raw, err)
				}
			}
		})
	}
	asked.Wait()
	if n := calls(); n != 1 {
		t.Errorf("npm ran %d times, want 1", n)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*.tmp-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestInstall_saysWhatFailed(t *testing.T) {
	p := npmPackage{"@x/y", "1.0.0"}
	t.Run("npm fails", func(t *testing.T) {
		fakeNPM(t, "echo 'npm error code E404' >&2; exit 1")
		cache := t.TempDir()
		_, err := install(t.Context(), cache, p, nil)
		if err == nil || !strings.Contains(err.Error(), "E404") {
			t.Fatalf("got %v, want npm's own words", err)
		}
		if _, err := os.Stat(filepath.Join(cache, p.folder())); err == nil {
			t.Fatal("a failed installation looks like a finished one")
		}
	})
	t.Run("no npm", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := install(t.Context(), t.TempDir(), p, nil)
		if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "Node.js") {
			t.Fatalf("got %v, want the remedy", err)
		}
	})
	t.Run("a link out of the package", func(t *testing.T) {
		fakeNPM(t, `mkdir -p "$prefix/node_modules/@x/y/native"
echo '[{"source":"native/a","target":"../../../a"}]' > "$prefix/node_modules/@x/y/native/pg-symlinks.json"`)
		if _, err := install(t.Context(), t.TempDir(), p, nil); err == nil {
			t.Fatal("accepted")
		}
	})
	t.Run("cancelled while another installs", func(t *testing.T) {
		cache := t.TempDir()
		unlock, err := lock(t.Context(), filepath.Join(cache, p.folder()+".lock"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		ctx, cancel := context.WithCancel(t.Context())
		progress := func(line string) {
			if strings.Contains(line, "waiting") {
				cancel()
			}
		}
		if _, err := install(ctx, cache, p, progress); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	})
}
