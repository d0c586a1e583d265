# expect: KD701 KD702 KD711 KD716
import keras


class Trainer:
    def __init__(self, units):
        self.model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(1)])

    def compile(self):
        self.model.compile(optimizer="adam", loss="mse")

    def run(self, x, y):
        self.model.fit(x, y, epochs=4)


trainer = Trainer(8)
trainer.compile()
trainer.run(x, y)
