package approvals

import (
	"context"
	"strings"
	"testing"
)

// watching is a watcher on a fake service, without a terminal.
func watching(t *testing.T, list ...map[string]any) (*world, *watcher) {
	t.Helper()
	w := newWorld(t)
	w.answer = encode(t, map[string]any{"approvals": list})
	client, err := w.tool.client()
	if err != nil {
		t.Fatal(err)
	}
	v := &watcher{tool: w.tool, client: client}
	if err := v.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, v
}

func (w *watcher) keys(ctx context.Context, keys ...string) {
	for _, k := range keys {
		w.press(ctx, k)
		_ = w.screen()
	}
}

func posted(w *world) (votes []string) {
	for i, a := range w.asked {
		if strings.HasPrefix(a, "POST ") {
			votes = append(votes, w.bodies[i])
		}
	}
	return votes
}

func TestWatchScreens(t *testing.T) {
	_, w := watching(t, waiting(), with(map[string]any{"id": "apr_2", "headline": "DROP TABLE \x1b[2Jx", "may_vote": false, "why_not": "not you"}))
	golden(t, "watch_list", w.screen())
	w.press(t.Context(), "\r")
	golden(t, "watch_open", w.screen())
	w.keys(t.Context(), " ", "a")
	golden(t, "watch_ask", w.screen())
	w.keys(t.Context(), "n", "j", "d")
	golden(t, "watch_not_yours", w.screen())
	_, w = watching(t)
	golden(t, "watch_nothing", w.screen())
}

// A vote takes two keys, and one to approve a look at all of the statement.
func TestRedteam21_WatchApprovesOnlyWhatWasRead(t *testing.T) {
	long := with(map[string]any{"statement": strings.Repeat("SELECT 1;\n", 100) + "DROP TABLE customers"})
	world, w := watching(t, long)
	w.keys(t.Context(), "a", "a")
	if !strings.Contains(w.screen(), "read it to its end first") {
		t.Fatalf("asked back unread:\n%s", w.screen())
	}
	w.keys(t.Context(), "y", "\r", "\r", "y", "a", "y")
	if got := posted(world); len(got) != 0 {
		t.Fatalf("approved unread: %v", got)
	}
	for range 10 {
		w.keys(t.Context(), " ")
	}
	if !strings.Contains(w.screen(), "DROP TABLE customers") {
		t.Fatalf("its end is not there:\n%s", w.screen())
	}
	w.keys(t.Context(), "a", "x") // not yes
	if got := posted(world); len(got) != 0 {
		t.Fatalf("approved without yes: %v", got)
	}
	w.keys(t.Context(), "a", "y")
	if got := posted(world); len(got) != 1 || got[0] != `{"reason":"","vote":"approve"}` {
		t.Fatalf("posted %v", got)
	}
}

func TestWatchDeniesWithAReason(t *testing.T) {
	world, w := watching(t, waiting())
	w.keys(t.Context(), "d", "n", "o", "x", "\x7f", "\x1b")
	if got := posted(world); len(got) != 0 {
		t.Fatalf("denied after escape: %v", got)
	}
	w.keys(t.Context(), "d", "n", "o", "x", "\x7f", "\r")
	if got := posted(world); len(got) != 1 || got[0] != `{"reason":"no","vote":"deny"}` {
		t.Fatalf("posted %v", got)
	}
}

func TestWatchInAPipe(t *testing.T) {
	w := newWorld(t)
	w.answer = encode(t, map[string]any{"approvals": []any{waiting(), with(map[string]any{"id": "apr_0", "state": "denied"})}})
	ctx, cancel := context.WithCancel(t.Context())
	w.tool.env.Stdout = stopper{w, cancel}
	c := w.tool.command()
	c.SetArgs([]string{"watch"})
	if err := c.ExecuteContext(ctx); err != nil {
		t.Fatal(err)
	}
	want := id + " waiting UPDATE public.customers on prod-db, for job deploy of acme/shop, run 4711, on main, started by riley\n"
	if got := w.stdout.String(); got != want {
		t.Fatalf("got %q", got)
	}
}

// stopper ends the watch with its first line.
type stopper struct {
	w    *world
	stop func()
}

func (s stopper) Write(p []byte) (int, error) {
	s.stop()
	return s.w.stdout.Write(p)
}

// What was typed for a denial that was taken back is no reason of an approval.
func TestRedteam21_WatchForgetsTheReasonOfAnotherVote(t *testing.T) {
	world, w := watching(t, waiting())
	w.keys(t.Context(), "d", "n", "o", "\x1b", "\r", " ", "a", "y")
	if got := posted(world); len(got) != 1 || got[0] != `{"reason":"","vote":"approve"}` {
		t.Fatalf("posted %v", got)
	}
}

// Where the rule asks for the reason of an approval, so does the screen; a y is
// a letter of it then.
func TestWatchAsksForTheReasonOfAnApproval(t *testing.T) {
	world, w := watching(t, with(map[string]any{"reason_required": true}))
	w.keys(t.Context(), "\r", " ", "a", "\r")
	if got := posted(world); len(got) != 0 || !strings.Contains(w.screen(), "Approve. Why?") {
		t.Fatalf("posted %v\n%s", got, w.screen())
	}
	w.keys(t.Context(), "y", "e", "s", "\r")
	if got := posted(world); len(got) != 1 || got[0] != `{"reason":"yes","vote":"approve"}` {
		t.Fatalf("posted %v", got)
	}
}

// What takes a passkey is not approved by a key.
func TestWatchDoesNotApproveWhatTakesAPasskey(t *testing.T) {
	world, w := watching(t, with(map[string]any{"step_up": true}))
	w.keys(t.Context(), "\r", " ", "a", "y")
	if !strings.Contains(w.screen(), "asks whoever approves for their passkey") || len(posted(world)) != 0 {
		t.Errorf("posted %v:\n%s", posted(world), w.screen())
	}
}
