package keeper

import (
	"context"
	"time"

	"github.com/gatestay/gatestay/libs/policy"
	"github.com/gatestay/gatestay/services/policy/internal/folder"
	"github.com/gatestay/gatestay/services/policy/internal/oncall"
)

// Feeds reads the calendars that the schedule names (oncall.Reader).
type Feeds interface {
	Follow(feeds []policy.Feed)
	Shifts(f policy.Feed, people oncall.People) *policy.Shifts
}

// feed returns the folder with the shifts of its calendars, which travel in the
// bundle. Of what could not be read again the copy in force stays, as long as it is
// not too old.
func (k *Keeper) feed(ctx context.Context, p Publisher, s *folder.Snapshot, around policy.Surroundings) (*folder.Snapshot, error) {
	if k.Feeds == nil || s.Engine == nil || len(s.Problems) > 0 {
		return s, nil
	}
	feeds := s.Engine.Feeds()
	k.Feeds.Follow(feeds)
	if len(feeds) == 0 {
		return s, nil
	}
	current, err := p.Current(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, f := range feeds {
		name := policy.ShiftsFile(f.Rotation)
		inForce := policy.ReadShifts(current.GetFiles()[name])
		carried := oncall.Newer(inForce, k.Feeds.Shifts(f, s.Engine.People()), f.MaxAge, time.Now())
		if carried == nil {
			continue
		}
		if files[name], err = carried.Marshal(); err != nil {
			return nil, err
		}
	}
	return s.WithShifts(files, around, k.Facts), nil
}
