// Package ui writes what people read in a terminal: titles, pairs, notes and a
// timeline, coloured on a terminal and plain in a pipe.
package ui

import (
	"fmt"
	"io"
	"strings"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

// Printer writes to one stream.
type Printer struct {
	env   *cli.Env
	w     io.Writer
	color bool
}

// New returns a printer for w.
func New(env *cli.Env, w io.Writer) *Printer { return &Printer{env: env, w: w, color: env.Color(w)} }

// The styles, as SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	green  = "32"
	yellow = "33"
	red    = "31"
	blue   = "34"
	cyan   = "36"
)

func (p *Printer) paint(style, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

func (p *Printer) line(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format+"\n", args...) }

// Progress writes one line about work that goes on.
func (p *Printer) Progress(text string) { p.line("%s %s", p.paint(dim, "·"), p.paint(dim, text)) }

// Title writes a heading.
func (p *Printer) Title(text string) { p.line("\n%s\n", p.paint(bold, text)) }

// Note writes a sentence; commands of gatestay in it are made to work as pasted.
func (p *Printer) Note(text string) { p.line("\n%s", p.env.Typed(text)) }

// Code writes something to type, which works as pasted.
func (p *Printer) Code(text string) { p.line("  %s", p.paint(cyan, p.env.Typed(text))) }

// Pairs writes names and values in two columns.
func (p *Printer) Pairs(pairs [][2]string) {
	width := 0
	for _, pair := range pairs {
		width = max(width, len(pair[0]))
	}
	for _, pair := range pairs {
		p.line("  %s  %s", p.paint(dim, pair[0]+strings.Repeat(" ", width-len(pair[0]))), pair[1])
	}
}

// Mark is the kind of a step in a timeline.
type Mark int

// The marks.
const (
	Did Mark = iota
	Held
	Refused
	Said
)

// Step writes one step of a timeline: when, what, and details below it.
func (p *Printer) Step(seconds float64, m Mark, text string, details ...string) {
	sign, style := "●", green
	switch m {
	case Held:
		sign, style = "◐", yellow
	case Refused:
		sign, style = "✕", red
	case Said:
		sign, style = "○", blue
	case Did:
	}
	p.line("%s %s %s", p.paint(dim, fmt.Sprintf("%6.2fs", seconds)), p.paint(style, sign), p.paint(bold, text))
	p.Details(details...)
}

// Details writes lines below a step.
func (p *Printer) Details(lines ...string) {
	for _, d := range lines {
		for l := range strings.Lines(d) {
			p.line("%s %s", p.paint(dim, "        │"), strings.TrimRight(l, "\n"))
		}
	}
}

// Dim renders secondary text.
func (p *Printer) Dim(s string) string { return p.paint(dim, s) }

// Accent renders an address or a name that matters.
func (p *Printer) Accent(s string) string { return p.paint(cyan, s) }

// Table writes columns that fit their content; the first row is the heading.
func (p *Printer) Table(rows [][]string) []string {
	if len(rows) == 0 {
		return nil
	}
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	out := make([]string, 0, len(rows))
	for n, r := range rows {
		var b strings.Builder
		for i, c := range r {
			b.WriteString(c)
			if i < len(r)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-len([]rune(c))+2))
			}
		}
		text := b.String()
		if n == 0 {
			text = p.paint(dim, text)
		}
		out = append(out, text)
	}
	return out
}
