package chat_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/stoa-chat/stoa/chat"
	"github.com/stoa-chat/stoa/errcode"
)

// A bot that answers every text message, until it is interrupted.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := chat.New("stoa#demo", chat.WithServer("http://127.0.0.1:8080"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.AddEventListener("bot", chat.Listener{
		OnTextMessage: func(m *chat.Message) {
			if _, err := c.SendText(ctx, m.From, "you said: "+m.Text); err != nil {
				log.Print(err) // names the code, the cause and what helps
			}
		},
		OnError: func(err *chat.Error) { log.Print(err) },
	})
	if err := c.Login(ctx, "alice", chat.Password("stoa")); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	<-ctx.Done()
}

// A bot that makes a group, and greets who comes.
func ExampleClient_CreateGroup() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := chat.New("stoa#demo", chat.WithServer("http://127.0.0.1:8080"), chat.WithDevice("greeter"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.AddEventListener("greeter", chat.Listener{
		OnGroupEvent: func(e *chat.GroupEvent) {
			if e.Operation != chat.OpPresence {
				return
			}
			text := "Welcome, " + strings.Join(e.Users, " and ") + "!"
			if _, err := c.SendText(ctx, e.Group, text, chat.WithChatType(chat.GroupChat)); err != nil {
				log.Print(err)
			}
		},
		OnError: func(err *chat.Error) { log.Print(err) },
	})
	if err := c.Login(ctx, "alice", chat.Password("stoa")); err != nil {
		log.Fatal(err)
	}
	group, err := c.CreateGroup(ctx, chat.GroupOptions{Name: "hikers", Public: true, Members: []string{"bob"}})
	if err != nil {
		log.Fatal(err)
	}
	if err := group.SetAnnouncement(ctx, "Say hello to the greeter."); err != nil {
		log.Fatal(err)
	}
	fmt.Println("group", group.ID())
	<-ctx.Done()
}

// A picture is sent, and its thumbnail saved where it arrives.
func ExampleClient_SendFile() {
	ctx := context.Background()
	alice, err := chat.New("stoa#demo", chat.WithServer("http://127.0.0.1:8080"))
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	if err := alice.Login(ctx, "alice", chat.Password("stoa")); err != nil {
		log.Fatal(err)
	}
	picture, err := os.Open("sunset.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer picture.Close()
	info, err := picture.Stat()
	if err != nil {
		log.Fatal(err)
	}
	file := chat.File{
		Name: info.Name(), Type: "image/jpeg", Content: picture, Size: info.Size(),
		Progress: func(sent, size int64) { fmt.Printf("\r%d of %d bytes", sent, size) },
	}
	m, err := alice.SendFile(ctx, "bob", file, chat.Content{Kind: chat.KindImage})
	if errors.Is(err, errcode.UploadFailed) {
		log.Fatal("too large, or the network is down: ", err)
	} else if err != nil {
		log.Fatal(err)
	}
	small, err := os.Create("sunset-small.jpg")
	if err != nil {
		log.Fatal(err)
	}
	defer small.Close()
	if err := alice.Download(ctx, m.Thumbnail(), small); err != nil {
		log.Fatal(err)
	}
}

// What was said in a group is read, the oldest message first.
func ExampleClient_History() {
	ctx := context.Background()
	c, err := chat.New("stoa#demo", chat.WithServer("http://127.0.0.1:8080"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(ctx, "alice", chat.Password("stoa")); err != nil {
		log.Fatal(err)
	}
	for group, err := range c.JoinedGroups(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		query := chat.HistoryQuery{OldestFirst: true, Kinds: []chat.Kind{chat.KindText}}
		for m, err := range c.History(ctx, chat.ToGroup(group.ID), query) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(group.Name, m.Time.Format(time.DateTime), m.From, m.Text)
		}
	}
}
