package postgres

import "time"

// Limits bounds what clients may take of the gateway. A zero field takes its
// default.
type Limits struct {
	Startup         time.Duration // from accepting a connection to a credential; 10 s
	Login           time.Duration // to check a credential and sign in upstream; 20 s
	Unauthenticated int           // connections without a credential yet; 512
	Message         int           // bytes of a message that is decided; 64 MiB
	Row             int           // bytes of a row that is masked; 64 MiB
	Pipeline        int           // messages forwarded and not answered; 4096
	Names           int           // prepared statements of a session, and portals; 8192 each
	Texts           int           // bytes of a session's prepared statements; 64 MiB
	Drain           time.Duration // for running commands when the gateway stops; 30 s
	Reminder        time.Duration // between notices to a client that is held; 60 s
	Catalog         time.Duration // the age from which a catalog is not trusted; 60 s
}

func (l Limits) withDefaults() Limits {
	set(&l.Startup, 10*time.Second)
	set(&l.Login, 20*time.Second)
	set(&l.Unauthenticated, 512)
	set(&l.Message, 64<<20)
	set(&l.Row, 64<<20)
	set(&l.Pipeline, 4096)
	set(&l.Names, 8192)
	set(&l.Texts, 64<<20)
	set(&l.Drain, 30*time.Second)
	set(&l.Reminder, time.Minute)
	set(&l.Catalog, time.Minute)
	return l
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Bounds of single messages, in bytes.
const (
	maxPassword = 64 << 10 // a token has a few thousand
	maxControl  = 64 << 10 // Describe, Close, Execute: names only
	maxReport   = 16 << 20 // an error, a notice, a notification
	maxShape    = 4 << 20  // a RowDescription: 1,664 columns
	maxAhead    = 64 << 10 // read from a client while it is held
)
