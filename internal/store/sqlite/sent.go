package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/stoa-chat/stoa/internal/store"
)

const (
	// repetitionLife is how long a client's id is remembered.
	repetitionLife = 24 * time.Hour
	// sweepEvery is how long after looking for ids to forget the writer looks again; sweepPause, if there may be more. A slice
	// costs about as much as some hundred messages, so there must not be one in each commit, however many wait.
	sweepEvery = 10 * time.Second
	sweepPause = 100 * time.Millisecond
)

// repeated returns the first copy of a draft, or nil. A device's ids mostly rise, and an id above all that it has sent
// needs no search.
func (s *Store) repeated(d *store.Draft, line int64) (*store.Appended, error) {
	t := &s.timeline
	key := sentKey{sender{d.Sender, d.Device}, d.ClientID}
	highest, ok := t.highest[key.sender]
	if !ok {
		stored, err := s.highestSent(key.sender)
		if err != nil {
			return nil, err
		}
		highest = stored
		for _, entries := range [][]tailEntry{t.old.entries, t.young.entries, t.staged} {
			for _, e := range entries {
				if e.sent.sender == key.sender {
					highest = max(highest, e.sent.client)
				}
			}
		}
		if len(t.highest) >= cacheSize {
			clear(t.highest)
		}
		t.highest[key.sender] = highest
	}
	if d.ClientID > highest {
		return nil, nil
	}
	var candidates []int64
	for _, entries := range [][]tailEntry{t.old.entries, t.young.entries, t.staged} {
		for _, e := range entries {
			if e.sent == key {
				candidates = append(candidates, e.pos)
			}
		}
	}
	stored, err := s.findSent(key)
	if err != nil {
		return nil, err
	}
	for _, pos := range append(candidates, stored...) {
		first, err := s.entryAt(pos)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		} else if err != nil {
			return nil, err
		}
		recent := time.Duration(d.Time-first.Time)*time.Millisecond < repetitionLife
		if first.Timeline == line && recent && first.began(d.Meta) {
			return &store.Appended{Timeline: line, Seq: first.Seq, ID: first.ID, Time: first.Time, Repeated: true}, nil
		}
	}
	return nil, nil
}

// ordered makes a number of an id that SQLite, which knows signed ones only, orders as the ids are.
func ordered(client uint64) int64 { return int64(client ^ 1<<63) }

// sentPair is the size of an id with the position of its entry in a run: two numbers of eight bytes, big endian.
const sentPair = 16

// rememberSent keeps the client ids of entries, in a row for all of one device: rows of their own would be the dearest part
// of the index.
func (s *Store) rememberSent(entries []tailEntry) error {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e tailEntry) bool { return e.sent.client == 0 })
	slices.SortFunc(entries, func(a, b tailEntry) int {
		return cmp.Or(cmp.Compare(a.sent.user, b.sent.user), cmp.Compare(a.sent.device, b.sent.device), cmp.Compare(a.pos, b.pos))
	})
	for len(entries) > 0 {
		from := entries[0].sent.sender
		low, high := int64(math.MaxInt64), int64(math.MinInt64)
		n := 0
		ids := make([]byte, 0, 8*sentPair)
		for ; n < len(entries) && entries[n].sent.sender == from; n++ {
			client := ordered(entries[n].sent.client)
			low, high = min(low, client), max(high, client)
			ids = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(ids, entries[n].sent.client), uint64(entries[n].pos))
		}
		if err := s.writer.sent.add(from.user, from.device, entries[n-1].pos, low, high, ids); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return s.writer.sent.flush()
}

// highestSent returns the highest of a device's ids in the database, or 0.
func (s *Store) highestSent(of sender) (uint64, error) {
	highest := ordered(0)
	err := s.writer.conn.QueryRowContext(context.Background(),
		"SELECT COALESCE(MAX(high), ?3) FROM sent_run WHERE sender = ?1 AND device = ?2", of.user, of.device, highest).Scan(&highest)
	if err != nil {
		return 0, fmt.Errorf("find highest client id: %w", err)
	}
	return uint64(highest) ^ 1<<63, nil
}

// findSent returns the positions, in the database, of what a device has sent under an id.
func (s *Store) findSent(key sentKey) ([]int64, error) {
	rows, err := s.writer.conn.QueryContext(context.Background(), `SELECT ids FROM sent_run
		WHERE sender = ?1 AND device = ?2 AND low <= ?3 AND high >= ?3 ORDER BY upto`, key.user, key.device, ordered(key.client))
	if err != nil {
		return nil, fmt.Errorf("find client id: %w", err)
	}
	defer rows.Close()
	var found []int64
	for rows.Next() {
		var ids sql.RawBytes
		if err := rows.Scan(&ids); err != nil {
			return nil, fmt.Errorf("find client id: %w", err)
		}
		for pair := range slices.Chunk(ids, sentPair) {
			if binary.BigEndian.Uint64(pair) == key.client {
				found = append(found, int64(binary.BigEndian.Uint64(pair[8:])))
			}
		}
	}
	return found, rows.Err()
}

// forgetSent forgets, now and then and a slice at a time, which client ids were used more than a day ago.
func (s *Store) forgetSent() error {
	const slice = 1000
	t, ctx := &s.timeline, context.Background()
	if time.Since(t.sweep) < sweepEvery {
		return nil
	}
	t.sweep = time.Now()
	forgotten, err := s.mark(ctx, "forgotten")
	if err != nil {
		return err
	}
	indexed, err := s.mark(ctx, "indexed")
	if err != nil {
		return err
	}
	var last, lastTime int64
	err = s.writer.conn.QueryRowContext(ctx, "SELECT pos, time FROM entry WHERE pos <= ? ORDER BY pos DESC LIMIT 1", min(forgotten+slice, indexed)).Scan(&last, &lastTime)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (last <= forgotten || time.Since(time.UnixMilli(lastTime)) < repetitionLife) {
		return nil
	} else if err != nil {
		return err
	}
	// A run whose last position is not passed yet has ids that are still remembered; it goes with those.
	_, err = s.writer.conn.ExecContext(ctx, `DELETE FROM sent_run WHERE upto <= ?2 AND (sender, device) IN
		(SELECT DISTINCT sender, device FROM entry WHERE pos BETWEEN ?1 AND ?2 AND client <> 0)`, forgotten+1, last)
	if err != nil {
		return err
	}
	t.sweep = t.sweep.Add(sweepPause - sweepEvery) // there may be more
	_, err = s.writer.conn.ExecContext(ctx, setMark, "forgotten", last)
	return err
}
