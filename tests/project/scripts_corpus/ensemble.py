# expect: KD701 KD702 KD711
import keras


def make():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


members = []
for _ in range(5):
    member = make()
    history = member.fit(x, y, epochs=3)
    members.append(member)
    print(history.history["loss"][-1])
