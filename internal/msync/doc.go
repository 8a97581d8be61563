// Package msync is the wire of the chat socket: the messages of chat.proto, generated, and the few helpers that pack and
// unpack the frames of the message path without going through all of it. The facts are in docs/protocol/wire.md.
package msync

//go:generate protoc --go_out=. --go_opt=paths=source_relative chat.proto

// Domains of a JID (docs/protocol/wire.md §4).
const (
	UserDomain  = "easemob.com"            // users
	PlaceDomain = "conference.easemob.com" // groups, chatrooms and threads
)

// Field numbers of chat.proto that the helpers use.
const (
	msyncCommand = 8
	msyncPayload = 9

	syncULMeta  = 1
	syncULKey   = 2
	syncULQueue = 3

	syncDLStatus    = 1
	syncDLMetaID    = 2
	syncDLServerID  = 3
	syncDLMetas     = 4
	syncDLNextKey   = 5
	syncDLQueue     = 6
	syncDLIsLast    = 7
	syncDLTimestamp = 8

	metaID        = 1
	metaTimestamp = 4

	jidName = 2

	statusCode   = 1
	statusReason = 2
)
