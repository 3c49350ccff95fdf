package localslack

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The tiers of Slack's Web API, in requests a minute; a fifth may come at once.
const (
	tier2   = 20
	tier3   = 50
	tier4   = 100
	noTier  = 0
	maximum = 4096 // limiters kept
)

type limiter struct {
	mu  sync.Mutex
	o   Options
	all map[string]*rate.Limiter
}

func (l *limiter) start(o Options) { l.o, l.all = o, map[string]*rate.Limiter{} }

// wait returns how long the caller of a method must wait; 0 is now. Posts are
// limited per channel, the rest per method.
func (l *limiter) wait(m method, channelID string) time.Duration {
	if l.o.Unlimited {
		return 0
	}
	key, every, burst := m.name, time.Duration(0), 0
	switch {
	case m.perChannel:
		key, every, burst = m.name+" "+channelID, l.o.PostEvery, l.o.PostBurst
	case m.tier > 0:
		every, burst = time.Minute/time.Duration(m.tier), m.tier/5
	default:
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[key] == nil {
		if len(l.all) >= maximum {
			clear(l.all)
		}
		l.all[key] = rate.NewLimiter(rate.Every(every), burst)
	}
	now := l.o.Clock()
	r := l.all[key].ReserveN(now, 1)
	if d := r.DelayFrom(now); d > 0 {
		r.CancelAt(now)
		return d
	}
	return 0
}

func tooMany(rw http.ResponseWriter, wait time.Duration) {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	rw.Header().Set("Retry-After", strconv.Itoa(seconds))
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.WriteHeader(http.StatusTooManyRequests)
	_, _ = rw.Write([]byte(`{"ok":false,"error":"ratelimited"}`))
}
