package archive

import (
	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/order"
	"github.com/gatestay/gatestay/services/archival/internal/store"
)

// Reporter hears what a writer did and noticed. Its methods must not block.
type Reporter interface {
	Stored(g *store.Group)
	Failed()                          // an attempt at the store
	Duplicate()                       // a message that came again
	Flagged(i *intake.Item)           // a batch that does not verify is stored apart
	Odd(i *intake.Item)               // a batch in its chain with something wrong about it
	Missing(g order.Gap, passed bool) // numbers are missing
}
