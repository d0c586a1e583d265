# expect: KD701 KD702 KD711 KD716
import keras


class Agent:
    def reset_states(self):
        self.state = None


agent = Agent()
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, y, epochs=1)
agent.reset_states()
