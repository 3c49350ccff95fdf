package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gatestay/gatestay/e2e/kit"
)

// grid is all figures of the select benchmark, by name.
type grid struct {
	options Options
	series  map[string]*series
}

func (g *grid) at(name, unit string) *series {
	s := g.series[name]
	if s == nil {
		s = &series{name: name, unit: unit}
		g.series[name] = s
	}
	return s
}

var protocols = []string{"simple", "extended", "prepared"}

func selectName(protocol string, clients int, contender string, tls bool) string {
	name := fmt.Sprintf("postgres/select/%s/%d/%s", protocol, clients, contender)
	if tls {
		name += "/tls"
	}
	return name
}

func cpuName(protocol string, clients int, contender string, tls bool) string {
	return selectName(protocol, clients, contender, tls) + "/cpu"
}

// selects measures the whole grid.
func selects(ctx context.Context, g *kit.Gatestay, o Options) (*grid, error) {
	if err := initialise(ctx, superuser(g)); err != nil {
		return nil, err
	}
	if err := g.DB.Exec(ctx, "shop", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO app"); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	out := &grid{options: o, series: map[string]*series{}}
	var all [2][]*contender
	for i, tls := range []bool{false, true} {
		var err error
		all[i], err = contenders(ctx, g, tls)
		defer func() {
			for _, c := range all[i] {
				c.stop()
			}
		}()
		if err != nil {
			return nil, err
		}
	}
	for r := range o.Rounds {
		o.Log(fmt.Sprintf("select: round %d of %d", r+1, o.Rounds))
		for _, clients := range o.Clients {
			for _, protocol := range protocols {
				for _, set := range all {
					for i := range set {
						c := set[(i+r)%len(set)] // nobody is always first
						if err := out.measure(ctx, c, protocol, clients); err != nil {
							return nil, fmt.Errorf("%s, %s, %d clients, tls %v: %w", c.name, protocol, clients, c.tls, err)
						}
					}
				}
			}
		}
	}
	return out, nil
}

func (g *grid) measure(ctx context.Context, c *contender, protocol string, clients int) error {
	if c.unable == protocol {
		return nil
	}
	via, err := c.connect(ctx)
	if err != nil {
		return err
	}
	var before, after time.Duration
	if c.pid != 0 {
		if before, err = cpuTime(c.pid); err != nil {
			return err
		}
	}
	result, err := pgbench(ctx, via, protocol, clients, g.options.Seconds)
	if err != nil {
		return err
	}
	g.at(selectName(protocol, clients, c.name, c.tls), "transactions/s").add(result.tps)
	if c.pid != 0 {
		if after, err = cpuTime(c.pid); err != nil {
			return err
		}
		g.at(cpuName(protocol, clients, c.name, c.tls), "µs").add(float64((after - before).Microseconds()) / result.transactions)
	}
	return nil
}

// print writes the tables as Markdown.
func (g *grid) print(w io.Writer) {
	for _, tls := range []bool{false, true} {
		title := "without TLS, on loopback"
		if tls {
			title = "TLS on both sides"
		}
		g.table(w, "Selects a second, "+title+": median (least–greatest)", names, func(p string, n int, c string) string { return selectName(p, n, c, tls) })
		g.table(w, "The proxy's CPU a select, "+title+", µs", names[1:], func(p string, n int, c string) string { return cpuName(p, n, c, tls) })
	}
}

func (g *grid) table(w io.Writer, title string, columns []string, name func(protocol string, clients int, contender string) string) {
	fmt.Fprintf(w, "\n%s\n\n| protocol | clients |", title)
	for _, c := range columns {
		fmt.Fprintf(w, " %s |", c)
	}
	fmt.Fprint(w, "\n|---|--:|")
	for range columns {
		fmt.Fprint(w, "--:|")
	}
	fmt.Fprintln(w)
	for _, clients := range g.options.Clients {
		for _, p := range protocols {
			fmt.Fprintf(w, "| %s | %d |", p, clients)
			for _, c := range columns {
				fmt.Fprintf(w, " %s |", g.series[name(p, clients, c)].cell())
			}
			fmt.Fprintln(w)
		}
	}
}

func superuser(g *kit.Gatestay) connection {
	c := target(g, true)
	c.user, c.password = g.DB.Superuser, g.DB.Password
	return c
}
