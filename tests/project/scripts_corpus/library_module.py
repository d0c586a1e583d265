# expect: nothing
import keras


def train(model, data, epochs=10):
    model.compile(optimizer="adam", loss="mse")
    model.fit(data, epochs=epochs)


class Trainer:
    def __init__(self, model):
        self.model = model

    def run(self, data):
        return self.model.fit(data, epochs=3)
