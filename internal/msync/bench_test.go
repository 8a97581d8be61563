package msync

import "testing"

// What a server does with the frames of one message: read the sender's, pack what is stored, answer, and pack the batch
// that all receivers share.

func BenchmarkReadMessage(b *testing.B) {
	up := unhex(b, upText)
	b.ReportAllocs()
	for b.Loop() {
		f, err := ReadFrame(up)
		if err != nil {
			b.Fatal(err)
		}
		u, err := ReadUpload(f.Payload)
		if err != nil {
			b.Fatal(err)
		}
		if id, err := MetaID(u.Meta); id != 42 || err != nil {
			b.Fatal(id, err)
		}
	}
}

func BenchmarkReadAcknowledgement(b *testing.B) {
	up := unhex(b, upPull)
	b.ReportAllocs()
	for b.Loop() {
		f, err := ReadFrame(up)
		if err != nil {
			b.Fatal(err)
		}
		u, err := ReadUpload(f.Payload)
		if err != nil {
			b.Fatal(err)
		}
		if name, err := QueueName(u.Queue); name != "q" || err != nil {
			b.Fatal(name, err)
		}
	}
}

func BenchmarkStoredMeta(b *testing.B) {
	m := &Meta{Id: 7, From: &JID{Name: "alice"}, To: &JID{Name: "bob"}, Ns: Meta_CHAT, Payload: make([]byte, 250)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := StoredMeta(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendBatch(b *testing.B) {
	stored := make([]byte, 300)
	var meta, frame []byte
	b.ReportAllocs()
	for b.Loop() {
		meta = AppendMeta(meta[:0], 1500000000000000008, 1795380240211, stored)
		frame = AppendBatch(frame[:0], Batch{Queue: "12345", Metas: meta, NextKey: 678})
	}
}

func BenchmarkAppendAnswer(b *testing.B) {
	var frame []byte
	b.ReportAllocs()
	for b.Loop() {
		frame = AppendAnswer(frame[:0], Answer{MetaID: 42, ServerID: 1500000000000000008, Time: 1795380240211})
	}
}
