package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

const settle = 50 * time.Millisecond

// Watch calls changed after the content of path (a file, or a folder with all
// below it) has changed and settled. It returns when ctx ends. Editors replace
// files and volumes swap links, so it compares contents, not events; a slow
// poll finds what the file system did not tell.
func Watch(ctx context.Context, path string, log zerolog.Logger, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("config: watch: %w", err)
	}
	defer func() { _ = w.Close() }()
	last := contentHash(path)
	add(w, path)
	poll := time.NewTicker(2 * time.Second)
	defer poll.Stop()
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.Errors:
			log.Warn().Err(err).Msg("file watch")
		case <-w.Events:
			if quiet == nil { // a folder that never rests is looked at all the same
				quiet = time.After(settle)
			}
		case <-quiet:
			quiet = nil
			add(w, path)
			if now := contentHash(path); now != last {
				last = now
				changed()
			}
		case <-poll.C:
			if quiet == nil && contentHash(path) != last {
				quiet = time.After(settle)
			}
		}
	}
}

// add watches the folders, not the files: a replaced file stays watched.
func add(w *fsnotify.Watcher, path string) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		_ = w.Add(filepath.Dir(path))
		return
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = w.Add(p)
		}
		return nil
	})
}

func contentHash(path string) [32]byte {
	files, err := ReadDir(path)
	if err != nil {
		return [32]byte{}
	}
	return HashFiles(files)
}

// HashFiles returns the SHA-256 over sorted names and contents.
func HashFiles(files map[string][]byte) [32]byte {
	h := sha256.New()
	for _, name := range sortedKeys(files) {
		fmt.Fprintf(h, "%d:%s%d:", len(name), name, len(files[name]))
		h.Write(files[name])
	}
	return [32]byte(h.Sum(nil))
}

// ReadDir reads a file, or all *.yaml and *.yml files below a folder, keyed by
// slash-separated path relative to it. A missing path is an empty set.
func ReadDir(path string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		ext := filepath.Ext(p)
		if d.IsDir() || p != path && ext != ".yaml" && ext != ".yml" {
			return nil
		}
		raw, err := os.ReadFile(p) //nolint:gosec // the operator names the folder
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rel)] = raw
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("config: read %s: %w", path, err)
	}
	return files, nil
}

func sortedKeys(m map[string][]byte) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
