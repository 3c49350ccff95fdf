package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// where says where the rules and the configuration are.
type where struct {
	env      *cli.Env
	policies string // --policies
	config   string // --config
}

// folder is the rules at hand, and what they are checked against.
type folder struct {
	env    *cli.Env
	dir    string
	files  map[string][]byte
	cfg    *config.Config // nil: there is none
	around policy.Surroundings
}

// read finds and reads the folder.
func (w *where) read() (*folder, error) {
	f := &folder{env: w.env}
	if err := w.readConfig(f); err != nil {
		return nil, err
	}
	dirs := []string{w.policies}
	if w.policies == "" {
		dirs = nil
		if f.cfg != nil && f.cfg.Policy.Dir != "" {
			dirs = append(dirs, f.cfg.Path(f.cfg.Policy.Dir))
		}
		dirs = append(dirs, filepath.Join(w.env.Dir, "policies"), "policies")
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		files, err := config.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		f.dir, f.files = dir, files
		return f, nil
	}
	return nil, fmt.Errorf("no folder of rules at %s: name it with --policies, or write a first policy with 'gatestay init'", list(dirs))
}

func (w *where) readConfig(f *folder) error {
	paths := []string{w.config}
	if w.config == "" {
		paths = []string{filepath.Join(w.env.Dir, "gatestay.yaml"), "gatestay.yaml"}
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil && w.config == "" {
			continue
		}
		cfg, err := config.Load(path)
		if err != nil {
			return err
		}
		f.cfg = cfg
		f.around.Targets = []policy.Target{}
		for name := range cfg.Targets {
			f.around.Targets = append(f.around.Targets, f.target(name))
		}
		slices.SortFunc(f.around.Targets, func(a, b policy.Target) int { return compare(a.Name, b.Name) })
		for _, i := range cfg.Issuers {
			f.around.Issuers = append(f.around.Issuers, policy.Issuer{URL: i.Issuer, Preset: i.Preset})
		}
		return nil
	}
	return nil
}

// target returns a configured target, or one of which only the name is known.
func (f *folder) target(name string) policy.Target {
	t := policy.Target{Name: name, Protocol: "postgres"}
	if f.cfg != nil {
		if c, ok := f.cfg.Targets[name]; ok {
			t.Environment, t.Protocol, t.Database = c.Environment, c.Protocol, c.Database
		}
	}
	return t
}

// path returns a file of the folder as a person can open it.
func (f *folder) path(name string) string {
	if name == "." || name == "" {
		return f.dir
	}
	return filepath.Join(f.dir, filepath.FromSlash(name))
}

// compile compiles the rules; problems are not an error but returned.
func (f *folder) compile() (*policy.Engine, []policy.Problem, error) {
	e, err := policy.Compile(f.files)
	problems, err := problemsOf(err)
	return e, problems, err
}

func problemsOf(err error) ([]policy.Problem, error) {
	var p *policy.ProblemsError
	if errors.As(err, &p) {
		return p.Problems, nil
	}
	return nil, err
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func list(dirs []string) string {
	s := ""
	for i, d := range dirs {
		if i > 0 {
			s += ", "
		}
		s += d
	}
	return s
}
