"""A paho-mqtt client that a test drives: commands come as lines of JSON, answers and messages go out as such."""

import json
import sys
import threading

import paho.mqtt.client as mqtt

lock = threading.Lock()
waiting = {}
client = None


def say(**what):
    with lock:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def on_connect(_client, _data, flags, reason, _properties):
    say(answer="connect", sessionPresent=flags.session_present, refused=reason.is_failure)


def on_connect_fail(_client, _data):
    say(answer="connect", sessionPresent=False, refused=True)


def on_disconnect(_client, _data, _flags, _reason, _properties):
    say(event="closed")


def on_subscribe(_client, _data, _mid, reasons, _properties):
    say(answer="subscribe", granted=[reason.value for reason in reasons])


def on_unsubscribe(_client, _data, _mid, _reasons, _properties):
    say(answer="unsubscribe")


def on_message(_client, _data, message):
    say(
        event="message",
        topic=message.topic,
        payload=message.payload.decode(),
        qos=message.qos,
        retain=bool(message.retain),
        dup=bool(message.dup),
    )


def connect(command):
    global client
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=command["id"],
        clean_session=command["clean"],
        protocol=mqtt.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=not command["acks"],
    )
    client.on_connect = on_connect
    client.on_connect_fail = on_connect_fail
    client.on_disconnect = on_disconnect
    client.on_subscribe = on_subscribe
    client.on_unsubscribe = on_unsubscribe
    client.on_message = on_message
    will = command.get("will")
    if will is not None:
        client.will_set(will["topic"], will["payload"], will["qos"], will["retain"])
    client.connect("127.0.0.1", command["port"], keepalive=command["keepalive"])
    client.loop_start()


def publish(command):
    sent = client.publish(command["topic"], command["payload"], command["qos"], command["retain"])
    sent.wait_for_publish(timeout=15)
    say(answer="publish", done=sent.is_published())


for line in sys.stdin:
    command = json.loads(line)
    do = command["do"]
    if do == "connect":
        connect(command)
    elif do == "subscribe":
        client.subscribe([(topic, qos) for topic, qos in command["filters"]])
    elif do == "unsubscribe":
        client.unsubscribe(command["filters"])
    elif do == "publish":
        publish(command)
    elif do == "disconnect":
        client.disconnect()
        client.loop_stop()
    elif do == "drop":
        # Without a DISCONNECT: the socket goes away under the library.
        client.socket().close()
        client.loop_stop()
        say(event="closed")
