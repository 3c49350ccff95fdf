package chat

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"
)

const maxClicks = 32 // worked on at once

// Socket receives interactions over Socket Mode.
type Socket struct {
	Client *Client
	Clicks *Clicks
	Log    zerolog.Logger
}

// Run keeps a connection until ctx ends.
func (s *Socket) Run(ctx context.Context) error {
	pause := time.Second
	for ctx.Err() == nil {
		started := time.Now()
		err := s.connect(ctx)
		s.Client.o.Metrics.Connected.Set(0)
		if ctx.Err() != nil {
			return nil
		}
		s.Log.Warn().Err(err).Msg("Socket Mode ended; connecting again")
		if time.Since(started) > time.Minute {
			pause = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(pause*2, 30*time.Second)
	}
	return nil
}

// connect runs slack-go's own managed connection, which connects again by
// itself until Slack refuses the token.
func (s *Socket) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := socketmode.New(s.Client.api, socketmode.OptionLog(logger{s.Log}), socketmode.OptionReadLimit(4<<20))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.receive(ctx, client) })
	return client.RunContext(ctx)
}

func (s *Socket) receive(ctx context.Context, client *socketmode.Client) {
	slots := make(chan struct{}, maxClicks)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-client.Events:
			switch e.Type {
			case socketmode.EventTypeHello:
				s.Client.learnApp(e.Request.ConnectionInfo.AppID)
				s.Client.o.Metrics.Connected.Set(1)
			case socketmode.EventTypeConnectionError, socketmode.EventTypeDisconnect:
				s.Client.o.Metrics.Connected.Set(0)
			case socketmode.EventTypeEventsAPI:
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				wg.Go(func() {
					defer func() { <-slots }()
					s.event(ctx, client, e)
				})
			case socketmode.EventTypeInteractive:
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				wg.Go(func() {
					defer func() { <-slots }()
					s.click(ctx, client, e)
				})
			default:
				if e.Request != nil && e.Request.EnvelopeID != "" { // not ours to handle, but Slack waits
					_ = client.AckCtx(ctx, e.Request.EnvelopeID, nil)
				}
			}
		}
	}
}

// click acknowledges after the vote is durable. What is not acknowledged comes
// again, perhaps to another replica.
func (s *Socket) click(ctx context.Context, client *socketmode.Client, e socketmode.Event) {
	i, ok := e.Data.(slack.InteractionCallback)
	if !ok || e.Request == nil {
		return
	}
	answer, err := s.Clicks.Take(ctx, "socket", &i)
	if err != nil {
		return // logged where it happened
	}
	var payload any
	if answer != nil {
		payload = answer
	}
	if err := client.AckCtx(ctx, e.Request.EnvelopeID, payload); err != nil && ctx.Err() == nil {
		s.Log.Warn().Err(err).Msg("click not acknowledged; it comes again")
	}
}

// event acknowledges after what is said is durable, or is nothing to us.
func (s *Socket) event(ctx context.Context, client *socketmode.Client, e socketmode.Event) {
	if e.Request == nil {
		return
	}
	if said, ok := e.Data.(slackevents.EventsAPIEvent); ok {
		if err := s.Clicks.Said(ctx, said.TeamID, said.APIAppID, said.InnerEvent.Data); err != nil && !errors.Is(err, ErrForeign) {
			s.Log.Warn().Err(err).Msg("what was said in a thread is not durable yet; it comes again")
			return
		}
	}
	if err := client.AckCtx(ctx, e.Request.EnvelopeID, nil); err != nil && ctx.Err() == nil {
		s.Log.Warn().Err(err).Msg("event not acknowledged; it comes again")
	}
}

// logger gives slack-go's own lines to zerolog, at debug level.
type logger struct{ log zerolog.Logger }

// Output implements slack-go's logger.
func (l logger) Output(_ int, line string) error {
	l.log.Debug().Str("line", line).Msg("slack-go")
	return nil
}
