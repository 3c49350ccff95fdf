package policy

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/masking"
	"github.com/gatestay/gatestay/libs/policy"
)

// masks compiles the masking folder: that of the configuration, else the one
// beside the rules; nil where there is none. Problems are returned like those
// of rules, their files relative to the folder of the rules.
func (f *folder) masks() (*masking.Engine, []policy.Problem, error) {
	dir := filepath.Join(filepath.Dir(f.dir), "masking")
	if f.cfg != nil {
		dir = f.cfg.Path("masking")
		if f.cfg.Masking.Dir != "" {
			dir = f.cfg.Path(f.cfg.Masking.Dir)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, nil, nil
	}
	files, err := config.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	e, err := masking.Compile(files)
	var bad *masking.ProblemsError
	if !errors.As(err, &bad) {
		return e, nil, err
	}
	problems := make([]policy.Problem, 0, len(bad.Problems))
	for _, p := range bad.Problems {
		problems = append(problems, policy.Problem{File: f.relative(filepath.Join(dir, p.File)), Line: p.Line, Column: 1, What: p.Problem, Remedy: p.Remedy})
	}
	return nil, problems, nil
}

// maskTargets tells what masks are limited to that is no configured target.
func (f *folder) maskTargets(masks *masking.Engine) []policy.Finding {
	if masks == nil || f.cfg == nil {
		return nil
	}
	var out []policy.Finding
	names := make([]string, 0, len(f.around.Targets))
	for _, t := range f.around.Targets {
		names = append(names, t.Name)
	}
	for _, r := range masks.Rules() {
		for _, pattern := range r.Targets {
			if slices.ContainsFunc(names, func(name string) bool { ok, err := path.Match(pattern, name); return ok && err == nil }) {
				continue
			}
			out = append(out, policy.Finding{
				Kind: policy.FoundMaskTarget, What: fmt.Sprintf("the mask %s is for target %q, which is not configured", r.Name, pattern),
				Remedy: "correct the name, or remove it: the targets are " + strings.Join(names, ", "),
			})
		}
	}
	return out
}

// relative returns a path as seen from the folder of the rules.
func (f *folder) relative(path string) string {
	from, errFrom := filepath.Abs(f.dir)
	to, errTo := filepath.Abs(path)
	if errFrom != nil || errTo != nil {
		return path
	}
	rel, err := filepath.Rel(from, to)
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}
