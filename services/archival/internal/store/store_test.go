package store

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatestay/gatestay/libs/config"
	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/libs/event"
	"github.com/gatestay/gatestay/libs/seal"
	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/order"
)

var server *embedded.ClickHouseServer

func TestMain(m *testing.M) {
	embedded.MaybeChild()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if server, err = embedded.ClickHouse(context.Background(), embedded.ClickHouseOptions{Dir: dir, Log: zerolog.Nop()}); err != nil {
		fmt.Println(err)
		return 1
	}
	defer server.Kill()
	return m.Run()
}

// newStore returns a store with a database of its own.
func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(config.ClickHouse{Address: server.Native, Database: "t_" + strings.ToLower(ulid.Make().String())}, "", "1", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// message stands for the bus.
type message struct {
	raw     []byte
	subject string
}

func (m message) Data() []byte                     { return m.raw }
func (m message) Subject() string                  { return m.subject }
func (m message) Ack() error                       { return nil }
func (m message) InProgress() error                { return nil }
func (m message) NakWithDelay(time.Duration) error { return nil }

// world seals batches and reads them as the service does.
type world struct {
	*testing.T
	key  *seal.Key
	keys *intake.Keys
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := seal.Generate()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := intake.NewKeys(nil, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, key, keys}
}

func (w *world) item(incarnation string, number uint64, records ...*eventv1.Record) *intake.Item {
	w.Helper()
	return w.itemOf("gateway/gw1", "audit.record.gw1", incarnation, number, records...)
}

func (w *world) itemOf(producer, subject, incarnation string, number uint64, records ...*eventv1.Record) *intake.Item {
	w.Helper()
	b := &eventv1.Batch{Producer: producer, Incarnation: incarnation, Number: number, Records: records}
	if err := event.Seal(b, w.key); err != nil {
		w.Fatal(err)
	}
	raw, err := proto.Marshal(b)
	if err != nil {
		w.Fatal(err)
	}
	i, err := intake.Read(message{raw, subject}, 7, time.Now(), w.keys)
	if err != nil || i.Integrity != intake.Verified {
		w.Fatalf("%v: %s %s", err, i.Integrity, i.Problem)
	}
	return i
}

func records(n int) []*eventv1.Record {
	out := make([]*eventv1.Record, n)
	for i := range out {
		out[i] = &eventv1.Record{Id: ulid.Make().String(), SessionId: "ses_1", SessionSequence: uint64(i + 1), Kind: eventv1.Kind_KIND_INTENT, Time: timestamppb.Now()}
	}
	return out
}

func count(t *testing.T, s *Store, sql string) (n uint64) {
	t.Helper()
	if err := s.conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func TestMigrate_byManyAtOnceAndAgain(t *testing.T) {
	name := "t_" + strings.ToLower(ulid.Make().String())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			s, err := Open(config.ClickHouse{Address: server.Native, Database: name}, "", "1", zerolog.Nop())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = s.Close() }()
			for range 2 {
				if err := s.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// A newer archival has migrated further; an older one beside it keeps working.
func TestMigrate_besideANewerOne(t *testing.T) {
	s := newStore(t)
	if err := s.conn.Exec(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Exec(t.Context(), "ALTER TABLE records ADD COLUMN of_tomorrow String DEFAULT 'x'"); err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Insert(t.Context(), &Group{Items: []*intake.Item{newWorld(t).item("01J", 1, records(2)...)}}); err != nil {
		t.Fatal(err)
	}
}

func TestInsert_again(t *testing.T) {
	s, w := newStore(t), newWorld(t)
	g := &Group{Items: []*intake.Item{w.item("01J", 1, records(3)...), w.item("01J", 2, records(5)...)}}
	for range 3 {
		if err := s.Insert(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, s, "SELECT count() FROM records"); n != 8 {
		t.Errorf("%d records, want 8", n)
	}
	if n := count(t, s, "SELECT count() FROM batches"); n != 2 {
		t.Errorf("%d batches, want 2", n)
	}
}

// The process dies between the records and the rows of their batches.
func TestTakeover_findsWhatAnUnfinishedInsertLeft(t *testing.T) {
	s, w := newStore(t), newWorld(t)
	if orphans, err := s.Takeover(t.Context()); err != nil || len(orphans) != 0 {
		t.Fatalf("in an empty store: %v, %v", orphans, err)
	}
	whole := &Group{Items: []*intake.Item{w.item("01J", 1, records(3)...)}}
	if err := s.Insert(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	second, third := w.item("01J", 2, records(4)...), w.item("01J", 3, records(2)...)
	left := &Group{Items: []*intake.Item{second, third}}
	if err := s.insertRecords(t.Context(), left, left.prepare()); err != nil {
		t.Fatal(err)
	}
	orphans, err := s.Takeover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[intake.ID]map[int]bool{second.ID(): {0: true, 1: true, 2: true, 3: true}, third.ID(): {0: true, 1: true}}
	if !reflect.DeepEqual(orphans, want) {
		t.Fatalf("got %v, want %v", orphans, want)
	}
	// The next writer groups differently.
	fourth := w.item("01J", 4, records(1)...)
	for _, g := range []*Group{{Items: []*intake.Item{second}, Has: orphans}, {Items: []*intake.Item{third, fourth}, Has: orphans}} {
		if err := s.Insert(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, s, "SELECT count() FROM records"); n != 10 {
		t.Errorf("%d records, want 10", n)
	}
	if orphans, err := s.Takeover(t.Context()); err != nil || len(orphans) != 0 {
		t.Errorf("afterwards: %v, %v", orphans, err)
	}
}

func TestMarks_andHoles(t *testing.T) {
	s, w := newStore(t), newWorld(t)
	a, b := intake.Chain{Producer: "gateway/gw1", Incarnation: "01A"}, intake.Chain{Producer: "gateway/gw1", Incarnation: "'; DROP TABLE batches; --"}
	var g Group
	for _, n := range []uint64{3, 4, 7, 9} {
		g.Items = append(g.Items, w.item(a.Incarnation, n, records(1)...))
	}
	g.Items = append(g.Items, w.item(b.Incarnation, 1, records(1)...))
	if err := s.Insert(t.Context(), &g); err != nil {
		t.Fatal(err)
	}
	marks, err := s.Marks(t.Context(), []intake.Chain{a, b, {Producer: "gateway/none"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[intake.Chain]order.Stored{
		a: {High: 9, Hash: g.Items[3].Batch.Hash, Holes: []order.Range{{From: 1, To: 2}, {From: 5, To: 6}, {From: 8, To: 8}}},
		b: {High: 1, Hash: g.Items[4].Batch.Hash},
	}
	if !reflect.DeepEqual(marks, want) {
		t.Fatalf("got  %v\nwant %v", marks, want)
	}
	hashes, err := s.Hashes(t.Context(), []intake.ID{g.Items[0].ID(), g.Items[4].ID(), {Chain: a, Number: 5}})
	if err != nil || len(hashes) != 2 || string(hashes[g.Items[4].ID()]) != string(g.Items[4].Batch.Hash) {
		t.Fatalf("got %v, %v", hashes, err)
	}
}

// Every field of a record has its column: what is stored differs whenever a
// field does.
func TestColumns_holdEveryField(t *testing.T) {
	s, w := newStore(t), newWorld(t)
	full := &eventv1.Record{}
	fill(full.ProtoReflect(), 1)
	full.Kind, full.Time = eventv1.Kind_KIND_OUTCOME, timestamppb.New(time.Date(2026, 11, 24, 1, 2, 3, 123456789, time.UTC))
	full.Salt, full.Commitments = nil, nil
	if err := s.Insert(t.Context(), &Group{Items: []*intake.Item{w.item("01J", 1, full)}}); err != nil {
		t.Fatal(err)
	}
	rows, err := s.conn.Query(t.Context(), "SELECT * EXCEPT (redacted, digest, stored_at, position), object_names FROM records")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		t.Fatal("nothing stored", rows.Err())
	}
	types := rows.ColumnTypes()
	values := make([]any, len(types))
	for i, c := range types {
		values[i] = reflect.New(c.ScanType()).Interface()
	}
	if err := rows.Scan(values...); err != nil {
		t.Fatal(err)
	}
	var all string
	for i, c := range types {
		all += fmt.Sprint(reflect.ValueOf(values[i]).Elem().Interface()) + "\n"
		v := reflect.ValueOf(values[i]).Elem()
		if v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
			t.Errorf("column %s holds nothing", c.Name())
		}
		if c.Name() == "time" && !v.Interface().(time.Time).Equal(full.Time.AsTime()) {
			t.Errorf("time %v, want %v", v, full.Time.AsTime())
		}
	}
	full.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Kind() == protoreflect.StringKind && !f.IsList() && !f.IsMap() && f.Name() != "producer" && !strings.Contains(all, v.String()) {
			t.Errorf("field %s has no column", f.Name())
		}
		return true
	})
	full.Principal.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Kind() == protoreflect.StringKind && !f.IsList() && !f.IsMap() && !strings.Contains(all, v.String()) {
			t.Errorf("field principal.%s has no column", f.Name())
		}
		return true
	})
}

func TestRedteam16_SearchTextIsNeverSQL(t *testing.T) {
	s, w := newStore(t), newWorld(t)
	hostile := []string{
		`'`, `\`, `\'`, `%`, `_`, `'; DROP TABLE records; --`, `{text:String}`, `?`, `$1`, "a\nb\tc\r\x00d", "\u202e", `100%_\`, `"`, "`", `/*`, `\x41`, `\N`, "é\xcc\x81",
	}
	for _, text := range hostile {
		r := records(1)
		r[0].Statement, r[0].Target, r[0].SessionId, r[0].CommandId = "before "+text+" after", text, "ses "+text, "cmd "+text
		r[0].Principal, r[0].Objects = &eventv1.Principal{Repository: text}, []*eventv1.Object{{Name: text}}
		if err := s.Insert(t.Context(), &Group{Items: []*intake.Item{w.item(ulid.Make().String(), 1, r...)}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range hostile {
		for name, f := range map[string]Filter{
			"text": {Text: "before " + text + " after"}, "target": {Target: text}, "principal": {Principal: text}, "repository": {Repository: text}, "object": {Object: text},
		} {
			f.Limit = 10
			found, _, err := s.Search(t.Context(), f)
			if err != nil {
				t.Fatalf("%s %q: %v", name, text, err)
			}
			if len(found) != 1 || found[0].Target != text {
				t.Errorf("%s %q: %d found", name, text, len(found))
			}
		}
		if story, err := s.Session(t.Context(), "ses "+text); err != nil || len(story.Commands) != 1 {
			t.Errorf("session %q: %v", text, err)
		}
	}
}
