// Package intake reads one message of the audit stream: the batch in it, and
// whether it is what a trusted producer sealed. A batch that does not verify is
// kept and told apart; it never takes the place of a genuine one.
package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatestay/gatestay/libs/bus"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// Integrity is what checking a batch said.
type Integrity string

// The verdicts. Verified and Placeholder take their number in the producer's
// chain; the others are kept beside it.
const (
	Verified    Integrity = "verified"
	Placeholder Integrity = "placeholder" // stands for a batch that could not be processed
	Changed     Integrity = "changed"     // the records are not those that were hashed
	Untrusted   Integrity = "untrusted"   // no trusted key signed it
	Conflict    Integrity = "conflict"    // verifies, but another batch has its number
)

// ErrUnreadable is returned for a message that is no batch.
var ErrUnreadable = errors.New("intake: not a batch")

// Message is what a stream delivers.
type Message interface {
	Data() []byte
	Subject() string
	// Ack lets the stream forget the message.
	Ack() error
	// InProgress asks for more time before it is delivered again.
	InProgress() error
	// NakWithDelay gives it back, to be delivered again after a while.
	NakWithDelay(delay time.Duration) error
}

// Chain names the batches of one process life: consecutive numbers, each
// naming the hash of the one before.
type Chain struct{ Producer, Incarnation string }

// ID is a batch's identity at rest. Digest is empty for batches in the chain.
type ID struct {
	Chain
	Number uint64
	Digest string
}

// String is the id as people read it.
func (id ID) String() string {
	s := fmt.Sprintf("%s/%s/%d", id.Producer, id.Incarnation, id.Number)
	if id.Digest != "" {
		s += "#" + id.Digest[:min(12, len(id.Digest))]
	}
	return s
}

// Item is a batch on its way into the store.
type Item struct {
	Message   Message
	also      []Message // further deliveries of the same batch
	Batch     *eventv1.Batch
	Leaves    [][]byte   // SHA-256 of each record
	Redacted  [][]string // of each record, fields whose text is not what was committed to
	Integrity Integrity
	Problem   string // why it is not verified, or what else is wrong with it
	Sequence  uint64 // in the stream
	Arrived   time.Time
	Size      int

	digest string
}

// ID returns the identity under which the batch is stored.
func (i *Item) ID() ID {
	id := ID{Chain: i.Chain(), Number: i.Batch.Number}
	if !i.InChain() {
		id.Digest = i.digest
	}
	return id
}

// Chain returns whose batch it claims to be.
func (i *Item) Chain() Chain {
	return Chain{Producer: i.Batch.Producer, Incarnation: i.Batch.Incarnation}
}

// InChain reports that the batch takes its number in the chain.
func (i *Item) InChain() bool { return i.Integrity == Verified || i.Integrity == Placeholder }

// SealedAt is the time by which the batch is filed: the producer's, or of a
// batch that nobody trusted signed, the bus's.
func (i *Item) SealedAt() time.Time {
	if i.InChain() {
		return i.Batch.SealedAt.AsTime()
	}
	return i.Arrived
}

// maxAlso bounds the deliveries that are kept; further ones come again and are
// recognised then.
const maxAlso = 8

// Join takes another delivery of the same batch in, to be acknowledged with it.
func (i *Item) Join(other *Item) {
	if len(i.also) < maxAlso {
		i.also = append(i.also, other.Message)
	}
}

// Ack lets the stream forget the batch, in all its deliveries.
func (i *Item) Ack() error {
	err := i.Message.Ack()
	for _, m := range i.also {
		err = errors.Join(err, m.Ack())
	}
	return err
}

// Conflicts sets the batch apart: it verifies, but another one has its number.
func (i *Item) Conflicts() {
	i.Integrity = Conflict
	i.Problem = "another batch with this number is stored, and its hash is another"
}

// Read decodes and checks a message.
func Read(m Message, sequence uint64, arrived time.Time, keys *Keys) (*Item, error) {
	raw := m.Data()
	b := &eventv1.Batch{}
	if err := proto.Unmarshal(raw, b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	sum := sha256.Sum256(raw)
	i := &Item{Message: m, Batch: b, Sequence: sequence, Arrived: arrived, Size: len(raw), digest: hex.EncodeToString(sum[:])}
	var err error
	if i.Leaves, err = event.WireLeaves(b, raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	i.Redacted = make([][]string, len(b.Records))
	for n, r := range b.Records {
		i.Redacted[n] = event.Redacted(r)
		slices.Sort(i.Redacted[n])
	}
	i.check(keys.Trust())
	if i.Integrity == Untrusted && keys.Refresh() {
		i.check(keys.Trust())
	}
	return i, nil
}

// check sets Integrity and Problem.
func (i *Item) check(trust seal.Trust) {
	b := i.Batch
	_, signature := trust.Open(seal.ContextBatch, &eventv1.Signed{Payload: b.Hash, KeyId: b.KeyId, Signature: b.Signature})
	switch err := event.VerifyLeaves(b, i.Leaves, trust); {
	case signature != nil:
		i.Integrity, i.Problem = Untrusted, "no trusted key signed it: "+signature.Error()
	case !speaksFor(i.Message.Subject(), b.Producer):
		i.Integrity, i.Problem = Untrusted, "it came under the subject of another producer"
	case b.Producer == "" || b.Incarnation == "" || b.Number == 0:
		i.Integrity, i.Problem = Changed, "its producer, incarnation or number is missing"
	case err != nil:
		i.Integrity, i.Problem = Changed, "its records are not those that its hash covers"
	case b.PlaceholderReason != "" && len(b.Records) == 0:
		// The masking service signs it in the producer's stead.
		i.Integrity, i.Problem = Placeholder, "its records could not be processed: "+b.PlaceholderReason
	default:
		i.Integrity, i.Problem = Verified, ""
		for _, r := range b.Records {
			if r.Producer != b.Producer {
				i.Problem = "a record names another producer"
			}
		}
	}
}

// speaksFor reports that a producer's batches come under this subject: who may
// publish there is the bus's to say, and a key alone does not make a policy
// service a gateway.
//
//	audit.record.{gateway}            gateway/{gateway}
//	audit.admin.{service}.{instance}  {service}/…
func speaksFor(subject, producer string) bool {
	subject, ok := strings.CutPrefix(subject, bus.AuditPrefix)
	if !ok {
		return false
	}
	if gateway, ok := strings.CutPrefix(subject, bus.RecordPrefix); ok {
		return producer == "gateway/"+gateway
	}
	service, _, ok := strings.Cut(strings.TrimPrefix(subject, bus.AdminPrefix), ".")
	return ok && strings.HasPrefix(subject, bus.AdminPrefix) && service != "gateway" && strings.HasPrefix(producer, service+"/")
}
