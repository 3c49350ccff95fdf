package initialise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// outcome says what became of one file.
type outcome struct {
	Path    string `json:"path"`
	Written bool   `json:"written"` // false: it was there, and stays as it is
	Lines   int    `json:"lines"`
	Same    bool   `json:"same,omitempty"` // it was there with the same content
}

// writeFiles writes what is not there yet. A file that appears meanwhile stays,
// too: each is made, never opened.
func writeFiles(dir string, files []file) ([]outcome, error) {
	var out []outcome
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return out, fmt.Errorf("init: %w", err)
		}
		o := outcome{Path: path, Lines: strings.Count(f.Content, "\n")}
		err := create(path, f.Content)
		switch {
		case err == nil:
			o.Written = true
		case errors.Is(err, os.ErrExist):
			have, err := os.ReadFile(path) //nolint:gosec // the caller names the folder
			o.Same = err == nil && string(have) == f.Content
		default:
			return out, fmt.Errorf("init: %w", err)
		}
		out = append(out, o)
	}
	return out, nil
}

func create(path, content string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640) //nolint:gosec // the caller names the folder
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// printFiles writes the files to standard output.
func printFiles(env *cli.Env, files []file) error {
	if env.JSON() {
		byPath := map[string]string{}
		for _, f := range files {
			byPath[f.Path] = f.Content
		}
		return env.PrintJSON(byPath)
	}
	for i, f := range files {
		if i > 0 {
			fmt.Fprintln(env.Stdout)
		}
		if _, err := fmt.Fprintf(env.Stdout, "# --- %s ---\n%s", f.Path, f.Content); err != nil {
			return fmt.Errorf("init: %w", err)
		}
	}
	return nil
}
