# expect: KD701 KD702 KD711 KD717
import tensorflow as tf
from tensorflow.keras import applications, layers, metrics, optimizers, Model

base = applications.resnet.ResNet50(weights="imagenet", input_shape=(200, 200, 3), include_top=False)
embedding = Model(base.input, layers.Dense(256)(layers.Flatten()(base.output)), name="Embedding")


class SiameseModel(Model):
    def __init__(self, network):
        super().__init__()
        self.network = network
        self.loss_tracker = metrics.Mean(name="loss")

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self.network(data))
        gradients = tape.gradient(loss, self.network.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.network.trainable_weights))
        return {"loss": loss}


model = SiameseModel(embedding)
model.compile(optimizer=optimizers.Adam(0.0001))
history = model.fit(train_dataset, epochs=10)
print(history.history)
