package rest

import (
	"errors"
	"time"

	"github.com/stoa-chat/stoa/internal/account"
)

// cloudRate is a limit of the hosted service on some routes together, admin-rest.md §21.
type cloudRate struct {
	routes  []string
	n       int
	per     time.Duration
	perUser bool
	say     refusal
}

const day = 24 * time.Hour

// cloudRates are those that are not like all others, which are otherCloudRate.
var cloudRates = []cloudRate{
	{routes: []string{"POST /token"}, n: 300, per: time.Second},
	{routes: []string{"POST /users", "GET /users", "GET /users/{user}", "DELETE /users/{user}", "PUT /users/{user}", "PUT /users/{user}/password",
		"POST /users/{user}/deactivate", "POST /users/{user}/activate", "GET /users/{user}/disconnect",
		"GET /users/{user}/disconnect/{resource}", "DELETE /users/{user}/disconnect/{resource}", "GET /users/{user}/resources",
		"PUT /push/nickname", "GET /users/{user}/push/binding"}, n: 100, per: time.Second},
	{routes: []string{"DELETE /users"}, n: 30, per: time.Second},
	{routes: []string{"POST /users/batch/status"}, n: 50, per: time.Second},
	{routes: []string{"GET /users/{user}/blocks/users", "POST /users/{user}/blocks/users", "DELETE /users/{user}/blocks/users/{friend}"},
		n: 50, per: time.Second},
	{routes: []string{"POST /users/{user}/presence", "DELETE /users/{user}/presence", "GET /users/{user}/presence/sublist"}, n: 50, per: time.Second},
	{routes: []string{"POST /chatrooms"}, n: 50, per: time.Second},
	{routes: []string{"GET /chatrooms"}, n: 50, per: time.Second},
	{routes: []string{"GET /users/{user}/joined_chatgroups"}, n: 50, per: time.Second},
	{routes: []string{"GET /users/{user}/joined_chatrooms"}, n: 50, per: time.Second},
	{routes: []string{"POST /messages/chatgroups"}, n: 20, per: time.Second},
	{routes: []string{"POST /messages/chatrooms/broadcast"}, n: 10, per: time.Minute, say: sayRoomBroadcasts},
	{routes: []string{"POST /messages/chatrooms/broadcast"}, n: 100, per: day, say: sayRoomBroadcasts},
	{routes: []string{"POST /messages/broadcast"}, n: 1, per: 30 * time.Minute, say: sayBroadcasts},
	{routes: []string{"POST /messages/broadcast"}, n: 3, per: day, say: sayBroadcasts},
	{routes: []string{"POST /messages/users/broadcast"}, n: 1, per: time.Minute, say: sayOnlineBroadcasts},
	{routes: []string{"POST /messages/users/broadcast"}, n: 50, per: day, say: sayOnlineBroadcasts},
	{routes: []string{"GET /chatmessages/{hour}"}, n: 10, per: time.Minute},
	{routes: []string{"GET /user/{user}/user_channels"}, n: 5, per: time.Minute, perUser: true},
	{routes: []string{"DELETE /users/{user}/user_channel"}, n: 5, per: time.Minute, perUser: true},
	{routes: []string{"POST /push/sync/{member}"}, n: 1, per: time.Second},
	{routes: []string{"POST /push/single"}, n: 1200, per: time.Minute},
	{routes: []string{"POST /push/list/label"}, n: 1200, per: time.Minute},
	{routes: []string{"POST /push/task"}, n: 5, per: time.Minute},
	{routes: []string{"POST /push/task"}, n: 100, per: day},
}

var (
	sayRoomBroadcasts   = forbidden("forbidden_op", "chatroom broadcast limit exceeded")
	sayBroadcasts       = forbidden("forbidden_op", "broadcast message limit exceeded")
	sayOnlineBroadcasts = forbidden("forbidden_op", "online user broadcast limit exceeded")
)

// otherCloudRate is that of each route that cloudRates does not name.
var otherCloudRate = cloudRate{n: 100, per: time.Second, say: sayLimit}

// cloudRatesOf finds the limits of each route.
var cloudRatesOf = func() map[string][]*cloudRate {
	of := map[string][]*cloudRate{}
	for i := range cloudRates {
		limit := &cloudRates[i]
		if limit.say.status == 0 {
			limit.say = sayLimit
		}
		for _, route := range limit.routes {
			of[route] = append(of[route], limit)
		}
	}
	return of
}()

// cloudKey names a bucket: of a limit on several routes, or of one route, and of a user where each has their own.
type cloudKey struct {
	app   int64
	limit *cloudRate
	route string
	user  string
}

// likeTheCloud refuses what the hosted service would refuse for its rate.
func (a *API) likeTheCloud(c *Call, now time.Time) error {
	limits := cloudRatesOf[c.route.String()]
	if limits == nil {
		limits = []*cloudRate{&otherCloudRate}
	}
	for _, limit := range limits {
		key := cloudKey{app: c.App.ID, limit: limit}
		if limit == &otherCloudRate {
			key.route = c.route.String()
		}
		if limit.perUser {
			key.user = account.Fold(c.Value("user"))
		}
		if !a.rates.cloud.Allow(key, float64(limit.n)/limit.per.Seconds(), limit.n, now) {
			return limit.say.because(errors.New("too many calls for the cloud"))
		}
	}
	return nil
}
