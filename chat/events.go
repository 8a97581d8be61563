package chat

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stoa-chat/stoa/internal/msync"
	"github.com/stoa-chat/stoa/internal/restclient"
)

// Operation says what happened in a group or chatroom. The names are those of the web SDK.
type Operation string

// What happens in groups and chatrooms, with the fields of [GroupEvent] that tell more.
const (
	OpCreate             Operation = "create" // on another device of the user's
	OpDestroy            Operation = "destroy"
	OpJoin               Operation = "join"                    // on another device of the user's
	OpLeave              Operation = "leave"                   // on another device of the user's
	OpRequestToJoin      Operation = "requestToJoin"           // Reason
	OpAcceptRequest      Operation = "acceptRequest"           // the user is a member now
	OpRejectRequest      Operation = "joinPublicGroupDeclined" // Users: whose; Reason
	OpInvite             Operation = "inviteToJoin"            // Name
	OpAcceptInvite       Operation = "acceptInvite"
	OpRejectInvite       Operation = "rejectInvite"
	OpRemove             Operation = "removeMember" // the user was removed
	OpBan                Operation = "ban"          // Users
	OpUnban              Operation = "unblockMember"
	OpUpdate             Operation = "updateInfo"     // Changes
	OpBlockMessages      Operation = "block"          // on another device of the user's
	OpUnblockMessages    Operation = "unblock"        // on another device of the user's
	OpPresence           Operation = "memberPresence" // Users: who came; MemberCount; Ext in chatrooms
	OpAbsence            Operation = "memberAbsence"  // Users: who left; MemberCount
	OpDirectJoined       Operation = "directJoined"   // the user was made a member; Name
	OpChangeOwner        Operation = "changeOwner"    // From: the old owner; Users: the new one
	OpSetAdmin           Operation = "setAdmin"       // Users
	OpRemoveAdmin        Operation = "removeAdmin"    // Users
	OpMute               Operation = "muteMember"     // Users; MutedUntil
	OpUnmute             Operation = "unmuteMember"   // Users
	OpMuteAll            Operation = "muteAllMembers"
	OpUnmuteAll          Operation = "unmuteAllMembers"
	OpAllow              Operation = "addUserToAllowlist"    // Users
	OpDisallow           Operation = "removeAllowlistMember" // Users
	OpAnnounce           Operation = "updateAnnouncement"    // Announcement
	OpDeleteAnnouncement Operation = "deleteAnnouncement"
	OpUploadFile         Operation = "uploadFile"
	OpDeleteFile         Operation = "deleteFile"
	OpDisable            Operation = "disable"
	OpEnable             Operation = "enable"
	OpSetAttributes      Operation = "updateChatRoomAttributes" // Attributes
	OpRemoveAttributes   Operation = "removeChatRoomAttributes" // AttributeKeys
	OpMemberAttributes   Operation = "memberAttributesUpdate"   // Users: whose; Attributes
)

var operations = map[msync.MUCBody_Operation]Operation{
	msync.MUCBody_CREATE:                       OpCreate,
	msync.MUCBody_DESTROY:                      OpDestroy,
	msync.MUCBody_JOIN:                         OpJoin,
	msync.MUCBody_LEAVE:                        OpLeave,
	msync.MUCBody_APPLY:                        OpRequestToJoin,
	msync.MUCBody_APPLY_ACCEPT:                 OpAcceptRequest,
	msync.MUCBody_APPLY_DECLINE:                OpRejectRequest,
	msync.MUCBody_INVITE:                       OpInvite,
	msync.MUCBody_INVITE_ACCEPT:                OpAcceptInvite,
	msync.MUCBody_INVITE_DECLINE:               OpRejectInvite,
	msync.MUCBody_KICK:                         OpRemove,
	msync.MUCBody_BAN:                          OpBan,
	msync.MUCBody_ALLOW:                        OpUnban,
	msync.MUCBody_UPDATE:                       OpUpdate,
	msync.MUCBody_BLOCK:                        OpBlockMessages,
	msync.MUCBody_UNBLOCK:                      OpUnblockMessages,
	msync.MUCBody_PRESENCE:                     OpPresence,
	msync.MUCBody_ABSENCE:                      OpAbsence,
	msync.MUCBody_DIRECT_JOINED:                OpDirectJoined,
	msync.MUCBody_ASSIGN_OWNER:                 OpChangeOwner,
	msync.MUCBody_ADD_ADMIN:                    OpSetAdmin,
	msync.MUCBody_REMOVE_ADMIN:                 OpRemoveAdmin,
	msync.MUCBody_ADD_MUTE:                     OpMute,
	msync.MUCBody_REMOVE_MUTE:                  OpUnmute,
	msync.MUCBody_BAN_GROUP:                    OpMuteAll,
	msync.MUCBody_REMOVE_BAN_GROUP:             OpUnmuteAll,
	msync.MUCBody_ADD_USER_WHITE_LIST:          OpAllow,
	msync.MUCBody_REMOVE_USER_WHITE_LIST:       OpDisallow,
	msync.MUCBody_UPDATE_ANNOUNCEMENT:          OpAnnounce,
	msync.MUCBody_DELETE_ANNOUNCEMENT:          OpDeleteAnnouncement,
	msync.MUCBody_UPLOAD_FILE:                  OpUploadFile,
	msync.MUCBody_DELETE_FILE:                  OpDeleteFile,
	msync.MUCBody_DISABLE_GROUP:                OpDisable,
	msync.MUCBody_ABLE_GROUP:                   OpEnable,
	msync.MUCBody_SET_METADATA:                 OpSetAttributes,
	msync.MUCBody_DELETE_METADATA:              OpRemoveAttributes,
	msync.MUCBody_GROUP_MEMBER_METADATA_UPDATE: OpMemberAttributes,
}

// GroupEvent tells what happened in a group or chatroom.
type GroupEvent struct {
	Operation Operation
	Group     string // id of the group or chatroom
	From      string // who did it
	Device    string // the device of From, where the server tells
	Users     []string
	Time      time.Time

	Name          string // of the group
	Reason        string
	Announcement  string
	MemberCount   int                  // 0: not told
	MutedUntil    map[string]time.Time // by user id; the zero time is for ever
	Attributes    map[string]string
	AttributeKeys []string
	Changes       *GroupChanges
	Ext           string // of [JoinOptions]
}

// GroupChanges are the settings of a group that were changed; those that were not are nil.
type GroupChanges struct {
	Name, Description, Avatar, Ext      *string
	Public, JoinApproval, InviteConfirm *bool
	OnlyAdminsInvite                    *bool
	MaxMembers                          *int
}

// deliverPlace hands out an event of a group, chatroom or thread.
func (s *session) deliverPlace(meta *msync.Meta) error {
	body := new(msync.MUCBody)
	if err := proto.Unmarshal(meta.GetPayload(), body); err != nil {
		return err
	}
	if body.GetIsThread() {
		s.deliverThread(meta, body)
		return nil
	}
	e, err := decodeGroupEvent(meta, body)
	switch {
	case err != nil:
		return err
	case e == nil:
		s.passOver(meta, body.GetOperation().String())
	case body.GetIsChatroom():
		tell(&s.c.events, "OnRoomEvent", e, func(l *Listener) func(*GroupEvent) { return l.OnRoomEvent })
	default:
		tell(&s.c.events, "OnGroupEvent", e, func(l *Listener) func(*GroupEvent) { return l.OnGroupEvent })
	}
	return nil
}

// decodeGroupEvent returns nil for operations that this SDK does not know, and for events of no group.
func decodeGroupEvent(meta *msync.Meta, body *msync.MUCBody) (*GroupEvent, error) {
	op, ok := operations[body.GetOperation()]
	if !ok || body.GetMucId().GetName() == "" {
		return nil, nil
	}
	e := &GroupEvent{
		Operation:   op,
		Group:       body.GetMucId().GetName(),
		From:        body.GetFrom().GetName(),
		Device:      meta.GetFrom().GetClientResource(),
		Time:        time.UnixMilli(int64(meta.GetTimestamp())),
		Name:        body.GetMucName(),
		Reason:      body.GetReason(),
		MemberCount: int(body.GetMucMemberCount()),
	}
	for _, to := range body.GetTo() {
		e.Users = append(e.Users, to.GetName())
	}
	info := []byte(body.GetEventInfo().GetExt())
	switch op {
	case OpPresence, OpAbsence:
		e.Ext = body.GetExt()
		if e.Users = body.GetMembers(); len(e.Users) == 0 {
			e.Users = []string{e.From}
		}
	case OpAnnounce:
		e.Announcement, e.Reason = e.Reason, ""
	case OpMute:
		if body.GetExt() == "" {
			break
		}
		var ext struct {
			Times map[string]restclient.Millis `json:"user_mute_time"`
		}
		if err := json.Unmarshal([]byte(body.GetExt()), &ext); err != nil {
			return nil, err
		}
		e.MutedUntil = map[string]time.Time{}
		for user, until := range ext.Times {
			e.MutedUntil[user] = until.Time
		}
	case OpUpdate:
		if len(info) == 0 {
			break
		}
		var changes changesJSON
		if err := json.Unmarshal(info, &changes); err != nil {
			return nil, err
		}
		e.Changes = changes.changes()
	case OpSetAttributes, OpRemoveAttributes:
		var told struct {
			Result struct {
				Keys []string `json:"successKeys"`
			} `json:"result"`
			Properties map[string]string `json:"properties"`
		}
		if err := json.Unmarshal(info, &told); err != nil {
			return nil, err
		}
		e.AttributeKeys = told.Result.Keys
		if op == OpSetAttributes {
			e.Attributes = told.Properties
			maps.DeleteFunc(e.Attributes, func(key, _ string) bool { return !slices.Contains(e.AttributeKeys, key) })
		}
	case OpMemberAttributes:
		var told struct {
			User       string            `json:"username"`
			Properties map[string]string `json:"properties"`
		}
		if err := json.Unmarshal(info, &told); err != nil {
			return nil, err
		}
		e.Users, e.Attributes = []string{told.User}, told.Properties
	}
	return e, nil
}

// flag is a bool that some servers write as text.
type flag bool

func (f *flag) UnmarshalJSON(text []byte) error {
	*f = flag(bytes.Equal(bytes.Trim(text, `"`), []byte("true")))
	return nil
}

// changesJSON are the changed settings of a group.
type changesJSON struct {
	Name          *string             `json:"name"`
	Title         *string             `json:"title"`
	Description   *string             `json:"description"`
	Avatar        *string             `json:"avatar"`
	Custom        *string             `json:"custom"`
	Public        *flag               `json:"public"`
	MembersOnly   *flag               `json:"members_only"`
	MembersInvite *flag               `json:"allow_user_invites"`
	InviteConfirm *flag               `json:"invite_need_confirm"`
	MaxUsers      *restclient.Integer `json:"max_users"`
}

func (x changesJSON) changes() *GroupChanges {
	changes := &GroupChanges{
		Name: x.Name, Description: x.Description, Avatar: x.Avatar, Ext: x.Custom,
		Public: (*bool)(x.Public), JoinApproval: (*bool)(x.MembersOnly), InviteConfirm: (*bool)(x.InviteConfirm),
	}
	if changes.Name == nil {
		changes.Name = x.Title
	}
	if x.MembersInvite != nil {
		changes.OnlyAdminsInvite = new(!bool(*x.MembersInvite))
	}
	if x.MaxUsers != nil {
		changes.MaxMembers = new(int(*x.MaxUsers))
	}
	return changes
}

// ThreadOperation says what happened to a thread. The names are those of the web SDK.
type ThreadOperation string

// What happens to threads.
const (
	ThreadCreated ThreadOperation = "create"
	ThreadUpdated ThreadOperation = "update" // its name, or LastMessage and Messages
	ThreadGone    ThreadOperation = "destroy"
	ThreadRemoved ThreadOperation = "userRemove" // User was removed from it
)

// ThreadEvent tells what happened to a thread of a group of the user's.
type ThreadEvent struct {
	Operation   ThreadOperation
	Thread      string // its id
	Name        string
	Group       string
	MessageID   string // that it hangs on
	From        string // who did it
	User        string
	Messages    int      // in it
	LastMessage *Message // nil: not told
	Time        time.Time
}

// deliverThread hands out what the user did to a thread on another device, and that the user was removed from one.
func (s *session) deliverThread(meta *msync.Meta, body *msync.MUCBody) {
	at := time.UnixMilli(int64(meta.GetTimestamp()))
	if body.GetOperation() == msync.MUCBody_THREAD_KICK {
		e := &ThreadEvent{
			Operation: ThreadRemoved, Thread: body.GetMucId().GetName(), Name: body.GetMucName(),
			Group: body.GetMucParentId().GetName(), From: body.GetFrom().GetName(), Time: at,
		}
		if len(body.GetTo()) > 0 {
			e.User = body.GetTo()[0].GetName()
		}
		tell(&s.c.events, "OnThreadEvent", e, func(l *Listener) func(*ThreadEvent) { return l.OnThreadEvent })
		return
	}
	op, ok := map[msync.MUCBody_Operation]DeviceOperation{
		msync.MUCBody_THREAD_CREATE: DeviceThreadCreated, msync.MUCBody_THREAD_DESTROY: DeviceThreadDestroyed,
		msync.MUCBody_THREAD_JOIN: DeviceThreadJoined, msync.MUCBody_THREAD_LEAVE: DeviceThreadLeft,
		msync.MUCBody_THREAD_UPDATE: DeviceThreadRenamed,
	}[body.GetOperation()]
	if !ok {
		s.passOver(meta, body.GetOperation().String())
		return
	}
	s.tellDevice(&DeviceEvent{
		Operation: op, Target: ToThread(body.GetMucId().GetName()), Name: body.GetMucName(),
		Group: body.GetMucParentId().GetName(), Time: at,
	})
}

// DeviceOperation says what the user did on another device. The names are those of the web SDK.
type DeviceOperation string

// What is told of other devices of the user's.
const (
	DeviceMessagesDeleted     DeviceOperation = "deleteRoaming"
	DeviceConversationDeleted DeviceOperation = "deleteConversation"
	DevicePinned              DeviceOperation = "pinnedConversation"
	DeviceUnpinned            DeviceOperation = "unpinnedConversation"
	DeviceMarked              DeviceOperation = "markConversation"   // Mark
	DeviceUnmarked            DeviceOperation = "unMarkConversation" // Mark
	DeviceSilent              DeviceOperation = "setSilentModeForUser"
	DeviceConversationSilent  DeviceOperation = "setSilentModeForConversation"    // Silent
	DeviceSilentCleared       DeviceOperation = "removeSilentModeForConversation" // of one conversation
	DeviceThreadCreated       DeviceOperation = "chatThreadCreate"                // Name, Group
	DeviceThreadDestroyed     DeviceOperation = "chatThreadDestroy"               // Name, Group
	DeviceThreadJoined        DeviceOperation = "chatThreadJoin"                  // Name, Group
	DeviceThreadLeft          DeviceOperation = "chatThreadLeave"                 // Name, Group
	DeviceThreadRenamed       DeviceOperation = "chatThreadNameUpdate"            // Name, Group
)

// DeviceEvent tells what the user did on another device.
type DeviceEvent struct {
	Operation DeviceOperation
	Target    Target // the conversation; empty for DeviceSilent
	Time      time.Time
	Mark      int
	Silent    SilentMode
	Name      string // of the thread
	Group     string // of the thread
}

func (s *session) tellDevice(e *DeviceEvent) {
	tell(&s.c.events, "OnDeviceEvent", e, func(l *Listener) func(*DeviceEvent) { return l.OnDeviceEvent })
}
