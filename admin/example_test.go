package admin_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/stoa-chat/stoa/admin"
	"github.com/stoa-chat/stoa/errcode"
)

// The examples run against `stoa dev`, which prints the credentials.
func connect() *admin.Client {
	c, err := admin.New("http://127.0.0.1:8080", "stoa#demo", os.Getenv("STOA_CLIENT_ID"), os.Getenv("STOA_CLIENT_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// A user is registered, and given a token to log in with.
func Example() {
	ctx, c := context.Background(), connect()
	if _, err := c.RegisterUser(ctx, admin.NewUser{Name: "carol", Nickname: "Carol"}); err != nil {
		log.Print(err) // names the code, the cause and what helps
	}
	token, err := c.UserTokenFor(ctx, "carol", time.Hour)
	if errors.Is(err, errcode.UserNotFound) {
		log.Fatal("carol is not there")
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token)
}

// A group is made, greeted, and its members are listed.
func ExampleClient_CreateGroup() {
	ctx, c := context.Background(), connect()
	group, err := c.CreateGroup(ctx, admin.GroupOptions{Name: "hikers", Owner: "alice", Members: []string{"bob"}, Public: true})
	if err != nil {
		log.Fatal(err)
	}
	welcome := admin.Message{From: "alice", To: []string{group.ID()}, Content: admin.Text("Welcome!")}
	if _, err := c.SendMessage(ctx, admin.Groups, welcome); err != nil {
		log.Fatal(err)
	}
	for member, err := range group.Members(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(member.Name, member.Owner)
	}
}

// A picture is uploaded and sent.
func ExampleClient_Upload() {
	ctx, c := context.Background(), connect()
	file, err := os.Open("cat.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		log.Fatal(err)
	}
	picture, err := c.Upload(ctx, admin.File{Name: "cat.jpg", Type: "image/jpeg", Content: file, Size: stat.Size(), Restricted: true})
	if err != nil {
		log.Fatal(err)
	}
	ids, err := c.SendMessage(ctx, admin.Users, admin.Message{From: "alice", To: []string{"bob"}, Content: admin.Image(picture, 640, 480)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ids["bob"])
}

// The messages of the last hour are read.
func ExampleClient_History() {
	ctx, c := context.Background(), connect()
	for m, err := range c.History(ctx, time.Now().Add(-time.Hour)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.Time, m.From, m.To, m.Bodies)
	}
}

// Rude words are made unreadable, and who uses them is muted for an hour.
func ExampleClient_SetRule() {
	ctx, c := context.Background(), connect()
	if err := c.SetRule(ctx, "rude", admin.Rule{Words: []string{"darn"}, Action: admin.ActionMask}); err != nil {
		log.Fatal(err)
	}
	for match, err := range c.Matches(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if err := c.MuteUser(ctx, match.User, admin.AppMute{Chats: time.Hour, Groups: time.Hour, Rooms: time.Hour}); err != nil {
			log.Fatal(err)
		}
	}
}
