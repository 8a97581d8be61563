package msync

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Down builds the frames of the message path by appending to a buffer. What they hold is decoded by the generated types
// in the tests.

// StoredMeta packs what is stored of a Meta: everything but its id and time, which come with each entry.
func StoredMeta(m *Meta) ([]byte, error) {
	id, at := m.Id, m.Timestamp
	m.Id, m.Timestamp = 0, 0
	b, err := proto.Marshal(m)
	m.Id, m.Timestamp = id, at
	return b, err
}

// AppendMeta completes a stored Meta with its id and time, as a field of a CommSyncDL.
func AppendMeta(b []byte, id, time int64, stored []byte) []byte {
	size := protowire.SizeTag(metaID) + protowire.SizeVarint(uint64(id)) +
		protowire.SizeTag(metaTimestamp) + protowire.SizeVarint(uint64(time)) + len(stored)
	b = protowire.AppendTag(b, syncDLMetas, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	return appendWhole(b, id, time, stored)
}

// WholeMeta completes a stored Meta with its id and time.
func WholeMeta(id, time int64, stored []byte) []byte {
	return appendWhole(make([]byte, 0, len(stored)+24), id, time, stored)
}

func appendWhole(b []byte, id, time int64, stored []byte) []byte {
	b = number(b, metaID, uint64(id))
	b = number(b, metaTimestamp, uint64(time))
	return append(b, stored...)
}

// Batch is a CommSyncDL with metas, or the end of a queue.
type Batch struct {
	Queue   string
	Metas   []byte // made by AppendMeta
	NextKey int64  // 0: none
	Last    bool
}

// AppendBatch appends the frame of a batch (docs/protocol/wire.md §5).
func AppendBatch(b []byte, batch Batch) []byte {
	queue := protowire.SizeTag(jidName) + protowire.SizeBytes(len(batch.Queue))
	size := 2 + protowire.SizeTag(syncDLQueue) + protowire.SizeBytes(queue) + len(batch.Metas)
	if batch.NextKey != 0 {
		size += protowire.SizeTag(syncDLNextKey) + protowire.SizeVarint(uint64(batch.NextKey))
	}
	if batch.Last {
		size += 2
	}
	b = protowire.AppendTag(b, msyncPayload, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = data(b, syncDLStatus, nil)
	b = append(b, batch.Metas...)
	if batch.NextKey != 0 {
		b = number(b, syncDLNextKey, uint64(batch.NextKey))
	}
	b = protowire.AppendTag(b, syncDLQueue, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(queue))
	b = protowire.AppendTag(b, jidName, protowire.BytesType)
	b = protowire.AppendString(b, batch.Queue)
	if batch.Last {
		b = number(b, syncDLIsLast, 1)
	}
	return b
}

// AppendEmptyBatch appends the end of a queue that the client named itself: its JID goes back as it came.
func AppendEmptyBatch(b, queue []byte) []byte {
	size := 2 + protowire.SizeTag(syncDLQueue) + protowire.SizeBytes(len(queue)) + 2
	b = protowire.AppendTag(b, msyncPayload, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = data(b, syncDLStatus, nil)
	b = data(b, syncDLQueue, queue)
	return number(b, syncDLIsLast, 1)
}

// Answer is a CommSyncDL that answers a Meta.
type Answer struct {
	MetaID   uint64 // the client's id
	ServerID int64
	Time     int64
	Status   Status_ErrorCode
	Reason   string
	Metas    []byte // made by AppendMeta; the client looks at the first
}

// AppendAnswer appends the frame of an answer. Its status is always there (docs/protocol/wire.md §0, rule 1).
func AppendAnswer(b []byte, a Answer) []byte {
	status := 0
	if a.Status != 0 {
		status += protowire.SizeTag(statusCode) + protowire.SizeVarint(uint64(a.Status))
	}
	if a.Reason != "" {
		status += protowire.SizeTag(statusReason) + protowire.SizeBytes(len(a.Reason))
	}
	size := protowire.SizeTag(syncDLStatus) + protowire.SizeBytes(status) +
		protowire.SizeTag(syncDLMetaID) + protowire.SizeVarint(a.MetaID) +
		protowire.SizeTag(syncDLServerID) + protowire.SizeVarint(uint64(a.ServerID)) + len(a.Metas) +
		protowire.SizeTag(syncDLTimestamp) + protowire.SizeVarint(uint64(a.Time))
	b = protowire.AppendTag(b, msyncPayload, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, syncDLStatus, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(status))
	if a.Status != 0 {
		b = number(b, statusCode, uint64(a.Status))
	}
	if a.Reason != "" {
		b = data(b, statusReason, []byte(a.Reason))
	}
	b = number(b, syncDLMetaID, a.MetaID)
	b = number(b, syncDLServerID, uint64(a.ServerID))
	b = append(b, a.Metas...)
	return number(b, syncDLTimestamp, uint64(a.Time))
}

// AppendNotice appends the frame that tells of something new in a queue.
func AppendNotice(b []byte, queue string) []byte {
	jid := data(nil, jidName, []byte(queue))
	b = number(b, msyncCommand, uint64(MSync_NOTICE))
	return data(b, msyncPayload, data(nil, 1, jid))
}

// FrameOf packs a payload of any other kind.
func FrameOf(command MSync_Command, payload proto.Message) ([]byte, error) {
	content, err := proto.Marshal(payload)
	if err != nil {
		return nil, err
	}
	return data(number(nil, msyncCommand, uint64(command)), msyncPayload, content), nil
}

// RenameUser replaces a user's name in the metas of a batch frame: a session that logged in as "Alice" hears of itself
// as "Alice", or the client would take its own notices for another user's (docs/protocol/tokens.md §9).
func RenameUser(frame []byte, from, to string) ([]byte, error) {
	var envelope MSync
	var batch CommSyncDL
	if err := proto.Unmarshal(frame, &envelope); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(envelope.Payload, &batch); err != nil {
		return nil, err
	}
	rename := func(j *JID) {
		if j != nil && j.Name == from && j.Domain != PlaceDomain {
			j.Name = to
		}
	}
	for _, m := range batch.Metas {
		rename(m.From)
		rename(m.To)
		var body proto.Message
		var names func() []*JID
		switch m.Ns {
		case Meta_CHAT:
			chat := &MessageBody{}
			body, names = chat, func() []*JID { return []*JID{chat.From, chat.To} }
		case Meta_ROSTER:
			roster := &RosterBody{}
			body, names = roster, func() []*JID { return append(roster.To, roster.From) }
		default:
			continue
		}
		if err := proto.Unmarshal(m.Payload, body); err != nil {
			return nil, err
		}
		for _, name := range names() {
			rename(name)
		}
		payload, err := proto.Marshal(body)
		if err != nil {
			return nil, err
		}
		m.Payload = payload
	}
	return FrameOf(MSync_SYNC, &batch)
}

func number(b []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), value)
}

func data(b []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), value)
}
