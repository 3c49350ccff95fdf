package policy

import (
	"errors"
	"os"
	"path/filepath"

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
