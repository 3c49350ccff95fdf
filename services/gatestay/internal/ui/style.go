package ui

// Good renders what passed or is allowed.
func (p *Printer) Good(s string) string { return p.paint(green, s) }

// Warn renders what wants attention or is held.
func (p *Printer) Warn(s string) string { return p.paint(yellow, s) }

// Bad renders what failed or is refused.
func (p *Printer) Bad(s string) string { return p.paint(red, s) }

// Strong renders what matters most.
func (p *Printer) Strong(s string) string { return p.paint(bold, s) }

// Line writes one line as it is.
func (p *Printer) Line(s string) { p.line("%s", s) }
