package chat

import (
	"encoding/json"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// covering says which function of this package does what a method of the web SDK does. Deprecated names are not repeated.
var covering = map[string]any{
	// account
	"registerUser":              (*Client).Register,
	"open":                      (*Client).Login,
	"isOpened":                  (*Client).Connected,
	"close":                     (*Client).Close,
	"setLoginInfoCustomExt":     WithLoginInfo,
	"renewToken":                (*Client).RenewToken,
	"getSelfIdsOnOtherPlatform": (*Client).OtherDevices,
	"getUserIdByRTCUIds":        (*Client).RTCUsers,
	"getRTCToken":               (*Client).RTCToken,
	"onShow":                    (*Client).Probe,

	// events
	"listen":             (*Client).AddEventListener,
	"addEventHandler":    (*Client).AddEventListener,
	"removeEventHandler": (*Client).RemoveEventListener,

	// messages
	"send":                           (*Client).Send,
	"getHistoryMessages":             (*Client).History,
	"removeHistoryMessages":          (*Client).DeleteMessages,
	"recallMessage":                  (*Client).Recall,
	"modifyMessage":                  (*Client).Edit,
	"downloadAndParseCombineMessage": (*Client).CombinedMessages,
	"reportMessage":                  (*Client).Report,
	"pinMessage":                     (*Client).PinMessage,
	"unpinMessage":                   (*Client).UnpinMessage,
	"getServerPinnedMessages":        (*Client).PinnedMessages,
	"addReaction":                    (*Client).AddReaction,
	"deleteReaction":                 (*Client).RemoveReaction,
	"getReactionlist":                (*Client).Reactions,
	"getReactionDetail":              (*Client).ReactionUsers,
	"getSupportedLanguages":          (*Client).Languages,
	"translateMessage":               (*Client).Translate,

	// conversations
	"getConversationlist":               (*Client).Conversations,
	"getServerConversations":            (*Client).Conversations,
	"getServerPinnedConversations":      (*Client).PinnedConversations,
	"getServerConversationsByFilter":    (*Client).MarkedConversations,
	"pinConversation":                   (*Client).PinConversation,
	"addConversationMark":               (*Client).MarkConversations,
	"removeConversationMark":            (*Client).UnmarkConversations,
	"deleteConversation":                (*Client).DeleteConversation,
	"deleteAllMessagesAndConversations": (*Client).DeleteAllMessages,

	// contacts
	"getContacts":             (*Client).Contacts,
	"getAllContacts":          (*Client).Contacts,
	"getContactsWithCursor":   (*Client).EachContact,
	"addContact":              (*Client).AddContact,
	"deleteContact":           (*Client).RemoveContact,
	"acceptContactInvite":     (*Client).AcceptContact,
	"declineContactInvite":    (*Client).DeclineContact,
	"setContactRemark":        (*Client).SetContactRemark,
	"getBlocklist":            (*Client).BlockedUsers,
	"addUsersToBlocklist":     (*Client).BlockUsers,
	"removeUserFromBlocklist": (*Client).UnblockUsers,

	// user attributes, presence, push
	"updateUserInfo":                       (*Client).UpdateProfile,
	"fetchUserInfoById":                    (*Client).Profiles,
	"updateCurrentUserNick":                (*Client).SetPushNickname,
	"publishPresence":                      (*Client).PublishPresence,
	"subscribePresence":                    (*Client).SubscribePresence,
	"unsubscribePresence":                  (*Client).UnsubscribePresence,
	"getSubscribedPresencelist":            (*Client).PresenceSubscriptions,
	"getPresenceStatus":                    (*Client).PresenceOf,
	"uploadPushToken":                      (*Client).SetPushToken,
	"unbindPushToken":                      (*Client).RemovePushToken,
	"setSilentModeForAll":                  (*Client).SetSilentMode,
	"getSilentModeForAll":                  (*Client).SilentMode,
	"setSilentModeForConversation":         (*Client).SetConversationSilentMode,
	"clearRemindTypeForConversation":       (*Client).ClearConversationSilentMode,
	"getSilentModeForConversation":         (*Client).ConversationSilentMode,
	"getSilentModeForConversations":        (*Client).ConversationSilentModes,
	"getSilentModeRemindTypeConversations": (*Client).SilentConversations,
	"setPushPerformLanguage":               (*Client).SetPushLanguage,
	"getPushPerformLanguage":               (*Client).PushLanguage,

	// threads
	"createChatThread":         (*Client).CreateThread,
	"joinChatThread":           Thread.Join,
	"leaveChatThread":          Thread.Leave,
	"destroyChatThread":        Thread.Destroy,
	"changeChatThreadName":     Thread.Rename,
	"getChatThreadMembers":     Thread.Members,
	"removeChatThreadMember":   Thread.Remove,
	"getJoinedChatThreads":     (*Client).JoinedThreads,
	"getChatThreads":           Group.Threads,
	"getChatThreadLastMessage": (*Client).LastMessages,
	"getChatThreadDetail":      Thread.Info,

	// groups
	"createGroupVNext":           (*Client).CreateGroup,
	"blockGroupMessages":         Group.IgnorePush,
	"blockGroupMessage":          Group.BlockMessages,
	"unblockGroupMessage":        Group.UnblockMessages,
	"getPublicGroups":            (*Client).PublicGroups,
	"getJoinedGroups":            (*Client).JoinedGroups,
	"getJoinedGroupsCount":       (*Client).JoinedGroupCount,
	"changeGroupOwner":           Group.TransferTo,
	"getGroupInfo":               Group.Info,
	"modifyGroup":                Group.Update,
	"getGroupMembers":            Group.Members,
	"getGroupAdmin":              Group.Admins,
	"setGroupAdmin":              Group.SetAdmin,
	"removeGroupAdmin":           Group.RemoveAdmin,
	"destroyGroup":               Group.Destroy,
	"leaveGroup":                 Group.Leave,
	"inviteUsersToGroup":         Group.Invite,
	"joinGroup":                  Group.Join,
	"acceptGroupJoinRequest":     Group.AcceptJoin,
	"rejectGroupJoinRequest":     Group.RejectJoin,
	"acceptGroupInvite":          Group.AcceptInvite,
	"rejectGroupInvite":          Group.RejectInvite,
	"removeGroupMember":          Group.Remove,
	"removeGroupMembers":         Group.Remove,
	"muteGroupMember":            Group.Mute,
	"unmuteGroupMember":          Group.Unmute,
	"getGroupMuteList":           Group.Muted,
	"isInGroupMutelist":          Group.IsMuted,
	"blockGroupMember":           Group.Block,
	"blockGroupMembers":          Group.Block,
	"unblockGroupMember":         Group.Unblock,
	"unblockGroupMembers":        Group.Unblock,
	"getGroupBlocklist":          Group.Blocked,
	"disableSendGroupMsg":        Group.MuteAll,
	"enableSendGroupMsg":         Group.UnmuteAll,
	"addUsersToGroupAllowlist":   Group.Allow,
	"removeGroupAllowlistMember": Group.Disallow,
	"getGroupAllowlist":          Group.Allowed,
	"isInGroupAllowlist":         Group.IsAllowed,
	"getGroupMsgReadUser":        Group.Readers,
	"fetchGroupAnnouncement":     Group.Announcement,
	"updateGroupAnnouncement":    Group.SetAnnouncement,
	"uploadGroupSharedFile":      Group.UploadFile,
	"deleteGroupSharedFile":      Group.DeleteFile,
	"getGroupSharedFilelist":     Group.SharedFiles,
	"downloadGroupSharedFile":    Group.DownloadFile,
	"setGroupMemberAttributes":   Group.SetMemberAttributes,
	"getGroupMemberAttributes":   Group.MemberAttributes,
	"getGroupMembersAttributes":  Group.MemberAttributes,

	// chatrooms
	"getChatRooms":                  (*Client).Rooms,
	"createChatRoom":                (*Client).CreateRoom,
	"destroyChatRoom":               Room.Destroy,
	"getChatRoomDetails":            Room.Info,
	"modifyChatRoom":                Room.Update,
	"removeChatRoomMember":          Room.Remove,
	"removeChatRoomMembers":         Room.Remove,
	"addUsersToChatRoom":            Room.Add,
	"joinChatRoom":                  Room.Join,
	"leaveChatRoom":                 Room.Leave,
	"getChatRoomMembers":            Room.Members,
	"getChatRoomAdmin":              Room.Admins,
	"setChatRoomAdmin":              Room.SetAdmin,
	"removeChatRoomAdmin":           Room.RemoveAdmin,
	"muteChatRoomMember":            Room.Mute,
	"unmuteChatRoomMember":          Room.Unmute,
	"getChatRoomMutelist":           Room.Muted,
	"isInChatRoomMutelist":          Room.IsMuted,
	"blockChatRoomMember":           Room.Block,
	"blockChatRoomMembers":          Room.Block,
	"unblockChatRoomMember":         Room.Unblock,
	"unblockChatRoomMembers":        Room.Unblock,
	"getChatRoomBlacklist":          Room.Blocked,
	"disableSendChatRoomMsg":        Room.MuteAll,
	"enableSendChatRoomMsg":         Room.UnmuteAll,
	"addUsersToChatRoomAllowlist":   Room.Allow,
	"removeChatRoomAllowlistMember": Room.Disallow,
	"getChatRoomAllowlist":          Room.Allowed,
	"isInChatRoomAllowlist":         Room.IsAllowed,
	"fetchChatRoomAnnouncement":     Room.Announcement,
	"updateChatRoomAnnouncement":    Room.SetAnnouncement,
	"uploadChatRoomSharedFile":      Room.UploadFile,
	"deleteChatRoomSharedFile":      Room.DeleteFile,
	"getChatRoomSharedFilelist":     Room.SharedFiles,
	"getChatRoomAttributes":         Room.Attributes,
	"setChatRoomAttributes":         Room.SetAttributes,
	"setChatRoomAttribute":          Room.SetAttributes,
	"removeChatRoomAttributes":      Room.RemoveAttributes,
	"removeChatRoomAttribute":       Room.RemoveAttributes,
	"getJoinedChatRooms":            (*Client).JoinedRooms,
}

func TestEveryMethodOfTheWebSDKHasItsLike(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol/sdk-methods.json")
	if err != nil {
		t.Fatal(err)
	}
	var methods []struct {
		Method     string `json:"method"`
		Deprecated bool   `json:"deprecated"`
	}
	if err := json.Unmarshal(text, &methods); err != nil {
		t.Fatal(err)
	}
	if len(methods) < 200 {
		t.Fatalf("the list has %d methods", len(methods))
	}
	current := map[string]bool{}
	for _, m := range methods {
		if m.Deprecated {
			continue
		}
		current[m.Method] = true
		if covering[m.Method] == nil {
			t.Errorf("nothing does what %s does", m.Method)
		}
	}
	for method, f := range covering {
		if !current[method] {
			t.Errorf("%s is no current method", method)
		}
		v := reflect.ValueOf(f)
		if v.Kind() != reflect.Func {
			t.Errorf("%s is covered by a %s", method, v.Kind())
			continue
		}
		name := runtime.FuncForPC(v.Pointer()).Name()
		name = strings.TrimSuffix(name[strings.LastIndex(name, ".")+1:], "-fm")
		if !isExported(name) {
			t.Errorf("%s is covered by %s, which is not exported", method, name)
		}
	}
}

func isExported(name string) bool { return name != "" && name[0] >= 'A' && name[0] <= 'Z' }
