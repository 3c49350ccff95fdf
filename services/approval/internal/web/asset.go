package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var static embed.FS

// asset is a file of static/, under a name that changes with its content.
type asset struct {
	name, kind string
	content    []byte
}

func (a asset) path() string { return "/assets/" + a.name }

func readAssets() (map[string]asset, error) {
	files, err := static.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("web: assets: %w", err)
	}
	out := map[string]asset{}
	for _, f := range files {
		raw, err := static.ReadFile("static/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("web: assets: %w", err)
		}
		sum := sha256.Sum256(raw)
		stem, ext, _ := strings.Cut(f.Name(), ".")
		out[f.Name()] = asset{
			name: stem + "." + hex.EncodeToString(sum[:6]) + "." + ext, kind: mime.TypeByExtension(path.Ext(f.Name())), content: raw,
		}
	}
	return out, nil
}

func (w *Web) asset(rw http.ResponseWriter, r *http.Request) {
	for _, a := range w.assets {
		if a.name == r.PathValue("name") {
			rw.Header().Set("Content-Type", a.kind)
			rw.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = rw.Write(a.content) // whoever asked went away
			return
		}
	}
	http.NotFound(rw, r)
}
