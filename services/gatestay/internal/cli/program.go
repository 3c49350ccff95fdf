package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// name is what the program is called in every text.
const name = "gatestay"

// defaultDir is the folder of gatestay dev.
const defaultDir = ".gatestay"

// program returns how to start this very program again from the same folder:
// its name where the PATH leads to it, else the path it was started by.
func program(started string) string {
	self, err := os.Executable()
	if err != nil || !strings.ContainsRune(started, filepath.Separator) {
		return name
	}
	if found, err := exec.LookPath(name); err == nil && same(found, self) {
		return name
	}
	return started
}

func same(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// command finds gatestay where a command begins: at the beginning of a line,
// in quotes, in $(…), behind -- or a pipe; not in prose.
var command = regexp.MustCompile("(?m)(^[ ]*|['\"`(]|-- |\\| |→ |: )" + name + ` ([a-z])`)

// Typed returns text with the commands of gatestay in it as they work when they
// are pasted into a terminal in this folder: by the path that leads to the
// program, and with the folder of the running gatestay dev where it is another than usual.
func (e *Env) Typed(text string) string {
	self := e.Program
	if self == "" {
		self = name
	}
	if e.Dir != defaultDir {
		if _, err := os.Stat(filepath.Join(e.Dir, "dev.json")); err == nil {
			self += " --dir " + quoted(e.Dir)
		}
	}
	if self == name {
		return text
	}
	return command.ReplaceAllString(text, "${1}"+strings.ReplaceAll(self, "$", "$$")+" ${2}")
}

// quoted writes a word for a shell.
func quoted(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"$`\\&|;<>()*?[]#~") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
